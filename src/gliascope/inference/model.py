"""A Model: a Bundle that is loaded, to ask about pictures and studies from Python."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from gliascope import RESEARCH_USE
from gliascope.errors import ForkedError, GliascopeError, InputError, ReadError
from gliascope.inference.bundle import Bundle
from gliascope.inference.finding import Finding, StudyFinding
from gliascope.inference.predict import (
    Predictor,
    PreparedSlice,
    counted_findings,
    exclude_captures,
    predict_batches,
    prepare_all,
)
from gliascope.io.memory import InMemory, Source, source
from gliascope.io.study import study_sources
from gliascope.runtime.paths import exists

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage
    from PIL.Image import Image
    from pydicom import Dataset

    from gliascope.io.slices import Slice

    # What `Model.predict` takes, or a list of it.
    Picture: TypeAlias = str | os.PathLike[str] | NDArray[Any] | Slice | Image | Dataset | SpatialImage

_NO_CARD = (
    "This bundle has no model card: nobody has put a report into it. Make one with `gliascope bundle RUN "
    "report.json`."
)


class ModelCard(str):
    """A model card: Markdown, which a notebook shows as it is meant to look."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)


class Model:
    """A loaded Bundle. `gliascope.load` makes one.

    Several threads may use a Model at once. It can be pickled, whole, and loads itself again in the other
    process; but a process that is forked after it was loaded cannot use it, and gets ForkedError.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes, in the order of `predict_proba`.
    card : ModelCard
        The model card, Markdown.
    bundle : Bundle
        What was loaded.

    Examples
    --------
    >>> import gliascope
    >>> model = gliascope.load("results")
    >>> model
    <Model quadrants: glioma, meningioma, no_tumor, pituitary>
    >>> model.predict("scan.png").verdict
    'accepted'
    """

    def __init__(self, bundle: Bundle, card: str | None = None) -> None:
        self.bundle = bundle
        self.classes = bundle.info.classes
        self.card = ModelCard(card or f"# Model `{bundle.info.recipe}`\n\n**{RESEARCH_USE}**\n\n{_NO_CARD}\n")
        self._predictor = Predictor.load(bundle)
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"<Model {self.bundle.info.recipe}: {', '.join(self.classes)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.bundle, str(self.card))

    @overload
    def predict(self, picture: list[Any] | tuple[Any, ...]) -> list[Finding]: ...

    @overload
    def predict(self, picture: Picture) -> Finding: ...

    def predict(self, picture: Picture | list[Any] | tuple[Any, ...]) -> Finding | list[Finding]:
        """Say what one picture shows, or each of a list.

        Parameters
        ----------
        picture : path, ndarray, PIL.Image.Image, pydicom.Dataset, nibabel image, Slice, or a list of these
            A path (or URL) of a file that holds one slice. An array (height, width), or (height, width, 3) in
            RGB: uint8 is shown as it is; of all other numbers, the 0.5 and 99.5 percentiles become black and
            white, and what looks like Hounsfield units gets the brain window. A Dataset is better than its
            `pixel_array`, which knows nothing of rescale, window and MONOCHROME1. Files and Datasets of one
            series in a list share one grey scale, as on the command line.

        Returns
        -------
        Finding or list of Finding
            A list for a list, in its order.

        Raises
        ------
        InputError
            For what holds several slices, or may be a stack of pictures; for masks; for anything else.
        ReadError
            For what cannot be read: of a list, for the first such picture.

        Examples
        --------
        >>> import gliascope, numpy, PIL.Image
        >>> model = gliascope.load("results")
        >>> finding = model.predict("scan.png")
        >>> finding.verdict, finding.label, finding.prediction_set
        ('accepted', 'glioma', ('glioma',))
        >>> finding
        <Finding accepted: glioma 98.9 %; scan.png>
        >>> array = numpy.asarray(PIL.Image.open("scan.png"))
        >>> [one.label for one in model.predict([array, "other.png"])]
        ['glioma', 'pituitary']
        """
        findings = [self._with_picture(*one) for one in self._ask(picture)]
        return findings if isinstance(picture, list | tuple) else findings[0]

    def predict_proba(self, picture: Picture | list[Any] | tuple[Any, ...]) -> NDArray[np.float64]:
        """Probabilities alone, as scikit-learn has them. They say nothing of whether a picture is in scope.

        Parameters
        ----------
        picture
            As for `predict`.

        Returns
        -------
        ndarray of float64
            (classes,) for one picture, (pictures, classes) for a list; calibrated, where the bundle is.

        Examples
        --------
        >>> import gliascope
        >>> model = gliascope.load("results")
        >>> model.predict_proba(["scan.png", "other.png"]).round(2)
        array([[0.99, 0.  , 0.  , 0.  ],
               [0.01, 0.01, 0.01, 0.98]])
        """
        told = [list(finding.probabilities.values()) for _, finding in self._ask(picture)]
        table = np.array(told, dtype=np.float64).reshape(len(told), len(self.classes))
        return table if isinstance(picture, list | tuple) else np.asarray(table[0])

    def predict_study(
        self,
        study: Picture | list[Any] | tuple[Any, ...],
        *,
        axis: int | None = None,
        spacing: Sequence[float] | None = None,
    ) -> StudyFinding:
        """Say what all slices of one study show together, and each by itself.

        Parameters
        ----------
        study : path, nibabel image, pydicom.Dataset, ndarray, or list
            A file or folder of one study; a NIfTI image; a Dataset of several frames; an array of three axes;
            or a list of its slices: paths, Datasets or Slices, or arrays and Pillow images, which then share
            one grey scale.
        axis : int, optional
            Of an array alone, and needed there: the axis that the slices lie along. They are taken as they
            lie, rows first. An array of a NIfTI file has them on their side: give the nibabel image.
        spacing : sequence of three floats, optional
            Of an array alone: mm between voxels along each axis of the array, in the order of its axes.

        Returns
        -------
        StudyFinding
            With a Finding for each slice in `slices`, and in `excluded` what of a folder could not be used.
            Its verdict is `unchecked` or `out of scope`: nothing has been calibrated for studies.

        Raises
        ------
        InputError
            For several studies, for one picture, and for anything else.
        ReadError
            For what cannot be read; in a folder, where that is all.

        Examples
        --------
        >>> import gliascope, numpy
        >>> model = gliascope.load("results")
        >>> study = model.predict_study("study")
        >>> study.verdict, study.label, len(study.slices)
        ('unchecked', 'glioma', 4)
        >>> volume = numpy.stack([one.pixels for one in gliascope.read("study")])
        >>> model.predict_study(volume, axis=0).label
        'glioma'
        """
        self._check_process()
        excluded = list[ReadError]()
        slices = self._slices_of(study, study_sources(study, axis, spacing), excluded)
        answers = predict_batches(self._predictor, slices)
        findings = list(exclude_captures((self._with_picture(*one) for one in answers), excluded))
        if not findings:
            if len(excluded) == 1:
                raise excluded[0]
            raise GliascopeError(f"none of {len(excluded)} files can be read; the first: {excluded[0]}")
        heard = counted_findings(findings)
        if not heard:
            kinds = ", ".join(sorted({str(one.kind) for one in findings}))
            raise InputError(f"{findings[0].file}: no ordinary slice of a study, but {kinds}")
        told = self._predictor.study_finding(heard)
        facts = {field.name: getattr(told, field.name) for field in fields(told)}
        return StudyFinding(**facts, slices=tuple(findings), excluded=tuple(excluded))

    def _slices_of(
        self, study: object, sources: Sequence[Source], excluded: list[ReadError]
    ) -> list[PreparedSlice]:
        """All slices of one study. Files that cannot be used go to `excluded`, unless they were listed."""
        slices = list[PreparedSlice]()
        for one in prepare_all(sources, self.bundle.info.preprocessing):
            if not isinstance(one, ReadError):
                slices += one
            elif isinstance(study, list | tuple):
                raise one
            else:
                excluded.append(one)
        _check_one_study(slices)
        return slices

    def _ask(self, picture: object) -> Iterator[tuple[PreparedSlice, Finding]]:
        """The slice and the Finding of a picture, or of each of a list, in order."""
        self._check_process()
        if isinstance(picture, list | tuple):
            sources = [source(one, number) for number, one in enumerate(picture)]
        else:
            sources = [source(picture)]
        slices = _single(sources, prepare_all(sources, self.bundle.info.preprocessing))
        return predict_batches(self._predictor, slices)

    def _with_picture(self, slice_: PreparedSlice, finding: Finding) -> Finding:
        top, bottom, left, right = self.bundle.info.preprocessing.stored_box
        return replace(finding, input_pixels=slice_.input[top:bottom, left:right])

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise ForkedError(
                "this Model was loaded before its process was forked, and the child lacks ONNX Runtime's "
                "threads: load it in the child, or let multiprocessing 'spawn' its processes"
            )


def _single(
    sources: Sequence[Source], read: Iterator[list[PreparedSlice] | ReadError]
) -> Iterator[PreparedSlice]:
    """Yield the slice of each; raise for what cannot be read, or holds several."""
    for one, slices in zip(sources, read, strict=True):
        if isinstance(slices, ReadError):
            if not isinstance(one, InMemory) and exists(one) and one.is_dir():
                raise InputError(f"{one}: is a folder; give it to predict_study, or give predict its files")
            raise slices
        if len(slices) > 1:
            raise InputError(
                f"{one}: holds {len(slices)} slices; give it to predict_study, or give predict one of those "
                "that gliascope.read gives"
            )
        yield from slices


def _check_one_study(slices: Sequence[PreparedSlice]) -> None:
    """Raise InputError for slices of several studies; a volume that names none is a study of its own."""
    counts = Counter(one.slice.path for one in slices)
    studies = {
        one.slice.study or (str(one.slice.path) if counts[one.slice.path] > 1 else None) for one in slices
    }
    if len(studies) > 1:
        named = len(studies - {None})
        what = f"{named} {'studies' if named > 1 else 'study'}"
        others = " and slices that name none" if None in studies else ""
        first = slices[0].slice.path
        raise InputError(f"{first} …: slices of {what}{others}; give those of one study at a time")
