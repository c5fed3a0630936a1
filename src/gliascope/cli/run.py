"""`gliascope run`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import (
    Cache,
    Cluster,
    DecisionsFile,
    Devices,
    GroupColumns,
    Groups,
    Labels,
    Mlflow,
    Overrides,
    PatientFolders,
    Protocols,
    RecipeName,
    Repeats,
    Seed,
    Sources,
    Validation,
    comma_separated,
    executor_of,
)


def run(
    sources: Sources,
    *,
    out: Annotated[Path, typer.Option(help="Folder for all results.")],
    recipe: RecipeName = "quick",
    protocol: Protocols = None,
    labels: Labels = None,
    groups: Groups = None,
    group_columns: GroupColumns = "",
    patient_folders: PatientFolders = True,
    decisions: DecisionsFile = None,
    seed: Seed = 0,
    repeats: Repeats = 1,
    validation: Validation = 0.1,
    overrides: Overrides = None,
    devices: Devices = 1,
    cache: Cache = True,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Trial with so many slices of each source, class and subset.")
    ] = None,
    mlflow: Mlflow = None,
    cluster: Cluster = None,
) -> None:
    """Run all steps from folders of slices to a report and a bundle.

    The steps are scan, audit, split, store, train, calibrate, evaluate and bundle. After an interruption, the
    same command continues where it stopped.
    """
    from gliascope.cli.tables import print_report
    from gliascope.commands.run import run as run_all
    from gliascope.commands.tracking import check_mlflow, track
    from gliascope.dataset.groups import GroupsFile
    from gliascope.recipes import load_recipe

    chosen = load_recipe(recipe, overrides or ())
    grouping = GroupsFile.parse(groups, group_columns)
    names = comma_separated(protocol) if protocol is not None else None
    if mlflow is not None:
        check_mlflow(mlflow)
    with executor_of(cluster) as workers:
        runs = run_all(
            sources,
            out,
            chosen,
            protocols=names,
            labels=labels,
            groups=grouping,
            decisions=decisions,
            seed=seed,
            validation=validation,
            devices=devices,
            cache=cache,
            limit=limit,
            repeats=repeats,
            executor=workers,
            patient_folders=patient_folders,
        )
    if mlflow is not None:
        track(mlflow, runs, out)
    print_report(out)
