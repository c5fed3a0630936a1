"""`gliascope scan`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import Cluster, GroupColumns, Groups, Labels, PatientFolders, Sources, executor_of


def scan(
    sources: Sources,
    *,
    out: Annotated[Path, typer.Option(help="The catalogue file to write.")] = Path("catalog.parquet"),
    labels: Labels = None,
    groups: Groups = None,
    group_columns: GroupColumns = "",
    patient_folders: PatientFolders = True,
    cluster: Cluster = None,
) -> None:
    """Catalogue every slice of the source folders; unreadable files are listed in NAME.rejects.parquet.

    After an interruption, the same command continues where it stopped.
    """
    from gliascope.cli.tables import print_catalog, print_merge
    from gliascope.dataset.catalog import check_catalog_replaceable, side_files
    from gliascope.dataset.groups import GroupsFile
    from gliascope.dataset.scan import scan as scan_sources
    from gliascope.runtime.folder_lock import file_lock

    grouping = GroupsFile.parse(groups, group_columns)
    check_catalog_replaceable(out)
    with file_lock(out, *(path.name for path in side_files(out))) as kept, executor_of(cluster) as workers:
        catalog = scan_sources(
            sources,
            labels,
            groups=grouping,
            resume_folder=kept,
            executor=workers,
            patient_folders=patient_folders,
        )
        catalog.write(out)
    _, rejects, contradicting = side_files(out)
    print_catalog(catalog, rejects)
    print_merge(catalog, contradicting)
    typer.echo(f"{out}")
