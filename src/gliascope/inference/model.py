"""A Model: a loaded Bundle that predicts pictures and studies from Python."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from gliascope import RESEARCH_USE
from gliascope.errors import ForkedError, GliascopeError, InputError
from gliascope.inference.bundle import Bundle
from gliascope.inference.finding import Finding, StudyFinding
from gliascope.inference.pictures import prepare_pictures, prepare_study
from gliascope.inference.predict import (
    Predictor,
    PreparedSlice,
    counted_findings,
    exclude_captures,
    predict_batches,
)
from gliascope.io.study import study_sources

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage
    from PIL.Image import Image
    from pydicom import Dataset

    from gliascope.io.slices import Slice

    # What `Model.predict` takes, or a list of it.
    Picture: TypeAlias = str | os.PathLike[str] | NDArray[Any] | Slice | Image | Dataset | SpatialImage

_NO_CARD = (
    "This bundle has no model card, since no report was put into it. Make one with `gliascope bundle RUN "
    "report.json`."
)


class ModelCard(str):
    """A model card in Markdown, which a notebook renders."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)


class Model:
    """A loaded Bundle. `gliascope.load` makes one.

    Several threads may use a Model at once. It can be pickled, and the other process then loads it again. A
    process that is forked after the Model was loaded cannot use it: every prediction there raises
    ForkedError.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes, in the order of `predict_proba`.
    card : ModelCard
        The model card, Markdown.
    bundle : Bundle
        The Bundle that was loaded.

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
        """Predict one picture, or each of a list.

        Parameters
        ----------
        picture : path, ndarray, PIL.Image.Image, pydicom.Dataset, nibabel image, Slice, or a list of these
            A path (or URL) of a file that holds one slice; or an array (height, width), or (height, width, 3)
            in RGB. A uint8 array is used as it is. In arrays of other types, the 0.5 and 99.5 percentiles
            become black and white, or the brain window is applied if the values look like Hounsfield units.
            Prefer a Dataset to its `pixel_array`, which lacks rescale, window and MONOCHROME1. Files and
            Datasets of one series in a list share one intensity scale, as on the command line.

        Returns
        -------
        Finding or list of Finding
            A list for a list, in its order.

        Raises
        ------
        InputError
            For a file or array of several slices, for masks, and for objects of other types.
        ReadError
            For a picture that cannot be read; in a list, for the first such picture.

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
        findings = [self._with_pixels(*one) for one in self._predict(picture)]
        return findings if isinstance(picture, list | tuple) else findings[0]

    def predict_proba(self, picture: Picture | list[Any] | tuple[Any, ...]) -> NDArray[np.float64]:
        """Predict probabilities alone, as scikit-learn does. They do not show whether a picture is in scope.

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
        rows = [list(finding.probabilities.values()) for _, finding in self._predict(picture)]
        table = np.array(rows, dtype=np.float64).reshape(len(rows), len(self.classes))
        return table if isinstance(picture, list | tuple) else np.asarray(table[0])

    def predict_study(
        self,
        study: Picture | list[Any] | tuple[Any, ...],
        *,
        axis: int | None = None,
        spacing: Sequence[float] | None = None,
    ) -> StudyFinding:
        """Predict one study: all its slices together, and each by itself.

        Parameters
        ----------
        study : path, nibabel image, pydicom.Dataset, ndarray, or list
            A file or folder of one study; a NIfTI image; a Dataset of several frames; an array of three axes;
            or a list of its slices: paths, Datasets or Slices, or arrays and Pillow images, which then share
            one intensity scale.
        axis : int, optional
            The axis of an array along which its slices are stacked; required for an array, and only allowed
            there. The other two axes are taken for rows and columns. In the array of a NIfTI file they
            usually are not, so pass the nibabel image instead.
        spacing : sequence of three floats, optional
            Distances between voxels in mm along the axes of an array; only allowed for an array.

        Returns
        -------
        StudyFinding
            Its `slices` has a Finding for each slice, and `excluded` the files of a folder that could not be
            used. Its verdict is `unchecked` or `out of scope`, since nothing was calibrated on studies.

        Raises
        ------
        InputError
            For slices of several studies, for a single picture, and for objects of other types.
        ReadError
            For a file that cannot be read; in a folder, only where no file can be read.

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
        slices, excluded = prepare_study(
            study_sources(study, axis, spacing),
            self.bundle.info.preprocessing,
            skip_unreadable=not isinstance(study, list | tuple),
        )
        predicted = predict_batches(self._predictor, slices)
        findings = list(exclude_captures((self._with_pixels(*one) for one in predicted), excluded))
        if not findings:
            if len(excluded) == 1:
                raise excluded[0]
            raise GliascopeError(f"none of {len(excluded)} files can be read; the first: {excluded[0]}")
        counted = counted_findings(findings)
        if not counted:
            kinds = ", ".join(sorted({str(one.kind) for one in findings}))
            raise InputError(f"{findings[0].file}: holds no ordinary slice of a study, but only {kinds}")
        finding = self._predictor.study_finding(counted)
        values = {field.name: getattr(finding, field.name) for field in fields(finding)}
        return StudyFinding(**values, slices=tuple(findings), excluded=tuple(excluded))

    def _predict(self, picture: object) -> Iterator[tuple[PreparedSlice, Finding]]:
        """Yield the slice and the Finding of a picture, or of each of a list, in order."""
        self._check_process()
        slices = prepare_pictures(picture, self.bundle.info.preprocessing)
        return predict_batches(self._predictor, slices)

    def _with_pixels(self, slice_: PreparedSlice, finding: Finding) -> Finding:
        """Add the part of the slice that the network was given, for notebooks to show."""
        top, bottom, left, right = self.bundle.info.preprocessing.stored_box
        return replace(finding, input_pixels=slice_.input[top:bottom, left:right])

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise ForkedError(
                "this Model was loaded before its process was forked, and the child lacks ONNX Runtime's "
                "threads: load it in the child, or let multiprocessing 'spawn' its processes"
            )
