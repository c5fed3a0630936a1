"""Errors for subsets without slices and classes without training slices, each with its remedy."""

from collections.abc import Iterable

import polars as pl

from gliascope.errors import SplitError

_BY_SHARE = ("official", "official-clean", "folds", "leave-source-out")  # where --validation is the share


def empty_subset(frame: pl.DataFrame, protocol: str, name: str, subset: str) -> SplitError:
    """Make the error for a subset that got no slice.

    Parameters
    ----------
    frame
        Rows of the split.
    protocol
        Name of the protocol.
    name
        The protocol and its fold, as the message shows them.
    subset
        The empty subset.
    """
    slices, groups = frame.height, frame["group"].n_unique()
    if protocol == "random" or groups == slices:
        why, remedies = f"{slices} slices are too few", ["add slices"]
    else:
        why = (
            f"{slices} slices are of {groups} groups (a patient, study or file with all its copies), which "
            "no cut divides, and so too few"
        )
        remedies = ["more slices of the same patients do not help: add patients"]
    if subset == "val" and protocol in _BY_SHARE:
        remedies.append("or take a larger share by --validation, like 0.3")
    if protocol == "folds" and subset != "val":
        remedies.append("or take fewer folds, by the fold column of --groups")
    if protocol == "grouped":
        remedies.append("or use --protocol folds, by which each group is tested once")
    return SplitError(f"protocol {name} leaves no slice for {subset}: {why}; {', '.join(remedies)}")


def untrained_class(
    frame: pl.DataFrame, protocol: str, name: str, *, label: str, subsets: Iterable[str]
) -> SplitError:
    """Make the error for a class without training slices.

    Parameters
    ----------
    frame
        Rows of the split.
    protocol
        Name of the protocol.
    name
        The protocol and its fold, as the message shows them.
    label
        The class.
    subsets
        Subsets that have slices of the class.
    """
    groups = frame.filter(pl.col("label") == label)["group"].n_unique()
    where = f"class {label!r} is in {' and '.join(sorted(subsets))} but not in training under protocol {name}"
    if protocol in ("official", "official-clean"):
        remedy = "add training slices of it"
    elif protocol == "leave-source-out":
        remedy = "only one source has it; name classes alike by --labels"
    else:
        one = "its slices are of one group (a patient, study or file with all its copies)"
        why = one if groups == 1 else f"its slices are of {groups} groups"
        remedy = f"{why}, which is never cut: add other patients of it"
    return SplitError(f"{where}; {remedy}, or leave its folder out by --labels")
