"""Arguments and options that several commands share."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gliascope.runtime.paths import to_path

if TYPE_CHECKING:
    from gliascope.runtime.executors import Executor


def finite(value: float) -> float:
    """Return the value. Raises BadParameter for NaN, which passes every range check."""
    if not math.isfinite(value):
        raise typer.BadParameter(f"expected a number but got {value}")
    return value


Sources = Annotated[
    list[Path],
    typer.Argument(parser=to_path, help="Folders (or URLs) of slices, with a subfolder for each class."),
]
CatalogFile = Annotated[Path, typer.Argument(help="Catalogue that `scan` wrote.")]
SplitFile = Annotated[Path, typer.Argument(help="Splits that `split` wrote.")]
RunFolder = Annotated[Path, typer.Argument(help="Run folder that `train` wrote.")]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="YAML with lines `folder name: class`, null to leave a folder out; or CSV: path,label."
    ),
]
Groups = Annotated[Path | None, typer.Option(help="CSV of patients and folds: path,group[,fold].")]
GroupColumns = Annotated[
    str, typer.Option(help="Other names of the columns in --groups: path=…,group=…,fold=….")
]
PatientFolders = Annotated[
    bool,
    typer.Option(
        "--patient-folders/--no-patient-folders",
        help="Whether to take patients from names of folders and files.",
    ),
]
RecipeName = Annotated[str, typer.Option(help="Name of a recipe, or a .yaml file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a recipe key, like stages.0.epochs=2. Repeatable.")
]
Protocols = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        help="official, official-clean, grouped, folds, leave-source-out or random; several separated by "
        "commas. By default official, or grouped if no source has a test folder.",
    ),
]
AuditFolder = Annotated[
    Path | None,
    typer.Option("--audit", help="Folder that `audit` wrote; near copies then stay in one subset."),
]
DecisionsFile = Annotated[
    Path | None, typer.Option("--decisions", help="The audit's decisions.csv, as you edited it.")
]
Validation = Annotated[
    float,
    typer.Option(
        min=0.01,
        max=0.9,
        callback=finite,
        help="Share of a given training subset that is used for validation.",
    ),
]
Repeats = Annotated[
    int,
    typer.Option(min=1, help="Number of times that splits are drawn, with --seed and the seeds after it."),
]
Devices = Annotated[
    int, typer.Option(min=1, help="Number of GPUs, or of CPU processes, that train together.")
]
Cache = Annotated[bool, typer.Option("--cache/--no-cache", help="Keep the outputs of frozen layers on disk.")]
Mlflow = Annotated[
    str | None, typer.Option("--mlflow", metavar="URI", help="Also log the runs to this MLflow store.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="auto|ADDRESS",
        help="Work on a Ray cluster at this address; auto: RAY_ADDRESS, or this machine.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the split.")]


@contextmanager
def executor_of(cluster: str | None) -> Iterator["Executor | None"]:
    """Connect to a cluster; yields None, which stands for this process, if there is no cluster."""
    if cluster is None:
        yield None
    else:
        from gliascope.runtime.ray_executor import connect

        with connect(cluster) as workers:
            yield workers


def comma_separated(text: str) -> list[str]:
    """Split a comma-separated list of names and drop repeated ones."""
    return list(dict.fromkeys(name.strip() for name in text.split(",")))
