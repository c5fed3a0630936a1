"""`gliascope crossval`."""

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
    Overrides,
    PatientFolders,
    RecipeName,
    Repeats,
    Seed,
    Sources,
    Validation,
)


def crossval(
    sources: Sources,
    *,
    out: Annotated[Path, typer.Option(help="Folder for all results.")],
    recipe: RecipeName = "quick",
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
    cluster: Cluster = None,
) -> None:
    """Cross-validate: test every slice with a model that was trained on the other folds.

    The same as `run --protocol folds`. Folds share stored slices and cached activations; on a cluster, one
    core trains each fold. After an interruption, or with more --repeats, the same command continues where
    it stopped.
    """
    from gliascope.cli.run import run

    run(
        sources,
        out=out,
        recipe=recipe,
        protocol="folds",
        labels=labels,
        groups=groups,
        group_columns=group_columns,
        patient_folders=patient_folders,
        decisions=decisions,
        seed=seed,
        repeats=repeats,
        validation=validation,
        overrides=overrides,
        devices=devices,
        cache=cache,
        cluster=cluster,
    )
