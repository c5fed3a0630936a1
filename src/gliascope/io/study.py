"""Turn whatever holds the slices of one study into sources that `read` takes."""

import numpy as np

from gliascope.errors import InputError
from gliascope.io.memory import InMemory, Source, is_array_or_image, stack_source, to_source, volume_source
from gliascope.runtime.folders import list_files


def study_sources(study: object, axis: object, spacing: object) -> list[Source]:
    """List the sources of the slices of one study.

    Parameters
    ----------
    study : object
        A three-dimensional array; a list of slices, which are all pixels (arrays, Pillow images) or all
        something else (paths, pydicom data sets, …); or the path of a file or folder.
    axis : object
        The axis of an array along which its slices lie, 0 to 2; None for anything but an array.
    spacing : object
        Three numbers, mm between the voxels of an array along each of its axes, or None.

    Returns
    -------
    list of Path or InMemory
        One source for an array or a list of pixels; otherwise one for each file or item.

    Raises
    ------
    InputError
        For anything else; the message says what to give instead.
    """
    if isinstance(study, np.ndarray):
        return [volume_source(study, axis, spacing)]
    if axis is not None or spacing is not None:
        raise InputError("axis and spacing are of an array; anything else knows its own")
    if isinstance(study, list | tuple):
        if not study:
            raise InputError("expected the slices of a study but got an empty list")
        if all(is_array_or_image(one) for one in study):
            return [stack_source(study)]
        if any(is_array_or_image(one) for one in study):
            raise InputError("expected slices of one sort, but got a list of arrays or images, and others")
        return [to_source(one, number) for number, one in enumerate(study)]
    if is_array_or_image(study):
        raise InputError("one picture is no study; give it to predict, or predict_study a list of slices")
    one = to_source(study)
    return [one] if isinstance(one, InMemory) else list(list_files([one]))
