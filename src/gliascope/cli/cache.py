"""`gliascope cache`."""

import shutil
from typing import Annotated

import typer


def cache(clear: Annotated[bool, typer.Option("--clear", help="Remove everything in it.")] = False) -> None:
    """Show the folder of stores and cached activations (GLIASCOPE_CACHE), and its size."""
    from gliascope.data.store import cache_folder

    folder = cache_folder()
    for part in ("store", "activations"):
        files = [path for path in (folder / part).rglob("*") if path.is_file()]
        typer.echo(
            f"{folder / part}: {len(files)} files, {sum(f.stat().st_size for f in files) / 2**20:.0f} MiB"
        )
        if clear:
            shutil.rmtree(folder / part, ignore_errors=True)
