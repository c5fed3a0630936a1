"""`gliascope predict`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import Cluster, executor_of
from gliascope.runtime.paths import to_path


def predict(
    bundle: Annotated[
        Path,
        typer.Argument(help="A bundle folder, a .zip of one, or a folder of results that holds a bundle."),
    ],
    paths: Annotated[
        list[Path],
        typer.Argument(
            parser=to_path, help="Image, DICOM, NIfTI or figshare files, folders of them, or URLs."
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Also write the findings: a JSON Lines file, or NAME.parquet for a folder of Parquet files."
        ),
    ] = None,
    explain: Annotated[
        Path | None, typer.Option(help="Folder for overlays of class activation maps.")
    ] = None,
    level: Annotated[
        float | None,
        typer.Option(
            help="Share of patients whose prediction set holds the true class; by default the bundle's."
        ),
    ] = None,
    cluster: Cluster = None,
) -> None:
    """Classify slices and volumes. Research use only; never a diagnosis.

    With --out, the same command continues after an interruption where it stopped.
    """
    from gliascope.cli.findings import print_findings, print_findings_folder
    from gliascope.dataset.catalog import PARQUET
    from gliascope.inference.load import open_bundle
    from gliascope.inference.predict_files import predict_files

    model = open_bundle(bundle, level)
    with executor_of(cluster) as workers:
        job = predict_files(model, paths, out, overlay_folder=explain, executor=workers)
    if out and out.suffix == PARQUET:
        print_findings_folder(out, job)
    else:
        print_findings(job, model.info.calibrator)
