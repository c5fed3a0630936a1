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
    """The option as it is. Raises BadParameter for NaN, which no range leaves out."""
    if not math.isfinite(value):
        raise typer.BadParameter(f"expected a number but got {value}")
    return value


Sources = Annotated[
    list[Path],
    typer.Argument(parser=to_path, help="Folders of slices, or URLs of such, with a subfolder a class."),
]
CatalogFile = Annotated[Path, typer.Argument(help="A catalogue that `scan` wrote.")]
SplitFile = Annotated[Path, typer.Argument(help="A split that `split` wrote.")]
RunFolder = Annotated[Path, typer.Argument(help="A run that `train` wrote.")]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="YAML: `folder name: class` a line, null to leave out. Or CSV: path,label, a line a file."
    ),
]
Groups = Annotated[Path | None, typer.Option(help="CSV: path,group[,fold], to attach patients or folds.")]
GroupColumns = Annotated[str, typer.Option(help="Its columns, where named otherwise: path=…,group=…,fold=….")]
PatientFolders = Annotated[
    bool,
    typer.Option(
        "--patient-folders/--no-patient-folders", help="Whether names of folders and files may tell patients."
    ),
]
RecipeName = Annotated[str, typer.Option(help="A recipe by name, or a .yaml file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a recipe key, like stages.0.epochs=2. Repeatable.")
]
Protocols = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        help="official, official-clean, grouped, folds, leave-source-out, random; several with commas. By "
        "default official, or grouped where no source has a test folder.",
    ),
]
AuditFolder = Annotated[
    Path | None, typer.Option("--audit", help="A folder that `audit` wrote: copies then stay together.")
]
DecisionsFile = Annotated[
    Path | None, typer.Option("--decisions", help="The audit's decisions.csv, as you edited it.")
]
Validation = Annotated[
    float,
    typer.Option(min=0.01, max=0.9, callback=finite, help="Share of a given training part that validates."),
]
Repeats = Annotated[
    int, typer.Option(min=1, help="Draw the protocols so many times, by this seed and those after it.")
]
Devices = Annotated[int, typer.Option(min=1, help="GPUs, or CPU processes, that train together.")]
Cache = Annotated[
    bool, typer.Option("--cache/--no-cache", help="Keep on disk what frozen layers make of each view.")
]
Mlflow = Annotated[
    str | None, typer.Option("--mlflow", metavar="URI", help="Also log the runs into this MLflow store.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="auto|ADDRESS",
        help="Work on a Ray cluster: its address, or auto for that of RAY_ADDRESS or this machine.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the split.")]


@contextmanager
def workers_of(cluster: str | None) -> Iterator["Executor | None"]:
    """The cluster's machines; None, which is this process, without a cluster."""
    if cluster is None:
        yield None
    else:
        from gliascope.runtime.ray_executor import connect

        with connect(cluster) as workers:
            yield workers


def comma_separated(text: str) -> list[str]:
    """The names in a comma-separated list, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",")))
