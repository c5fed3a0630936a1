"""`gliascope serve`."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    bundles: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]BUNDLE...", help="Bundle folders, or .zip files; the first is the default model."
        ),
    ],
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8000")] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="File of API keys (`gliascope keys`); needed unless only this machine may connect."
        ),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key, PEM.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of processes that decode files.", show_default="one per core")
    ] = None,
) -> None:
    """Serve models over HTTP, with a web page. Research use only; never a diagnosis.

    Further settings are environment variables GLIASCOPE_*.
    """
    from gliascope.server.models import parse_sources
    from gliascope.server.server import run
    from gliascope.server.settings import load_settings

    settings = load_settings(
        host=host, port=port, keys=keys, tls_cert=tls_cert, tls_key=tls_key, workers=workers
    )
    run(settings, parse_sources(bundles))
