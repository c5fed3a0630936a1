"""`gliascope cache`."""

from typing import Annotated

import typer


def cache(clear: Annotated[bool, typer.Option("--clear", help="Remove everything in it.")] = False) -> None:
    """Show the folders of stores and cached activations (GLIASCOPE_CACHE moves them), and their size."""
    from gliascope.store.store import cache_usage, clear_cache

    for part, (files, size) in cache_usage().items():
        typer.echo(f"{part}: {files} files, {size / 2**20:.0f} MiB")
    if clear:
        clear_cache()
        typer.echo("cleared")
