"""Check sources, protocols and tables by file names alone, before the first pixel is read."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from gliascope.audit.decisions import Decisions
from gliascope.dataset.groups import GroupsFile, attach_groups
from gliascope.dataset.listing import SourceFiles
from gliascope.errors import SplitError
from gliascope.runtime.progress import without_notes
from gliascope.splits.protocols import NEED_TEST_FOLDER, check_protocols, missing_test_folder


def check_sources(
    sources: Sequence[Path],
    protocols: Sequence[str] | None,
    *,
    labels_file: Path | None = None,
    groups: GroupsFile | None = None,
    decisions: Decisions | None = None,
) -> int:
    """Refuse early what `scan` and `split` would refuse later, by the names of the files alone.

    Parameters
    ----------
    sources
        Folders of slices.
    protocols
        Names of the protocols that the user asked for; None to let `split` choose.
    labels_file
        Table of labels, as `scan` takes it.
    groups
        Table of groups, as `scan` takes it.
    decisions
        The audit's decisions, as the user edited them.

    Returns
    -------
    int
        How many classes the folders name. Labels inside files are not known yet.

    Raises
    ------
    LayoutError
        If sources or tables cannot be used.
    SplitError
        If a protocol is unknown or does not suit these sources.
    """
    check_protocols(protocols or ())
    with without_notes():  # `scan` writes the same notes later
        files = SourceFiles.from_sources(sources, labels_file)
    roots = files.roots
    if "leave-source-out" in (protocols or ()) and len(roots) < 2:
        raise SplitError(
            f"protocol 'leave-source-out' needs two sources or more; {roots[0].name} is the only one"
        )
    classes, subsets, names = set[str | None](), set[str | None](), set[str]()
    for root in roots:
        for file in files.files_of_source(root):
            if not file.folder_labels.excluded:
                classes.add(file.folder_labels.label)
                subsets.add(file.folder_labels.subset)
                names.add(file.name)
    if "test" not in subsets and any(protocol in NEED_TEST_FOLDER for protocol in protocols or ()):
        raise missing_test_folder([root.name for root in roots])
    if groups is not None:
        with without_notes():
            attach_groups(_file_table(files), groups)
    if decisions is not None:
        decisions.check_files(names)
        if None not in classes:  # otherwise the class may be stated inside the files
            decisions.check_classes(filter(None, classes))
    return len(classes - {None})


def _file_table(files: SourceFiles) -> pl.DataFrame:
    """Return a catalogue that has only the columns that `attach_groups` needs."""
    rows = [(str(file.root), file.name) for root in files.roots for file in files.files_of_source(root)]
    empty = {"group": pl.lit(None, pl.String), "fold": pl.lit(None, pl.Int32)}
    return pl.DataFrame(rows, schema={"root": pl.String, "path": pl.String}, orient="row").with_columns(
        **empty
    )
