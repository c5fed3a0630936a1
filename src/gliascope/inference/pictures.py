"""Prepare what `Model.predict` and `Model.predict_study` are given, or raise what should be given instead."""

from collections import Counter
from collections.abc import Iterator, Sequence

from gliascope.errors import InputError, ReadError
from gliascope.inference.predict import PreparedSlice, prepare_all
from gliascope.io.memory import InMemory, Source, to_source
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.runtime.paths import exists


def prepare_pictures(picture: object, preprocessing: Preprocessing) -> Iterator[PreparedSlice]:
    """Yield the slice of a picture, or of each picture of a list, in order.

    Parameters
    ----------
    picture
        What `Model.predict` takes.
    preprocessing
        The model's.

    Raises
    ------
    InputError
        For a picture of several slices, a folder, or an object of another type.
    ReadError
        For a picture that cannot be read.
    """
    if isinstance(picture, list | tuple):
        sources = [to_source(one, number) for number, one in enumerate(picture)]
    else:
        sources = [to_source(picture)]
    return _single_slices(sources, preprocessing)


def prepare_study(
    sources: Sequence[Source], preprocessing: Preprocessing, *, skip_unreadable: bool
) -> tuple[list[PreparedSlice], list[ReadError]]:
    """Prepare all slices of one study.

    Parameters
    ----------
    sources
        The files or pictures of the study.
    preprocessing
        The model's.
    skip_unreadable
        Whether to return the errors of sources that cannot be read, instead of raising the first.

    Returns
    -------
    slices
        In the order of the sources.
    excluded
        The errors of sources that were skipped.

    Raises
    ------
    InputError
        For slices of several studies.
    ReadError
        For a source that cannot be read, unless such sources are skipped.
    """
    slices, excluded = list[PreparedSlice](), list[ReadError]()
    for one in prepare_all(sources, preprocessing):
        if not isinstance(one, ReadError):
            slices += one
        elif skip_unreadable:
            excluded.append(one)
        else:
            raise one
    _check_one_study(slices)
    return slices, excluded


def _single_slices(sources: Sequence[Source], preprocessing: Preprocessing) -> Iterator[PreparedSlice]:
    """Yield the one slice of each source; raise for a source that cannot be read, or has several slices."""
    for one, slices in zip(sources, prepare_all(sources, preprocessing), strict=True):
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
    """Raise InputError for slices of several studies; a volume without an identifier is one study."""
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
