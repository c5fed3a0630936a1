"""`gliascope cache`."""

from typing import Annotated

import typer


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything in the cache.")] = False,
) -> None:
    """Show the size of the cached slices and activations; GLIASCOPE_CACHE sets the cache folder."""
    from gliascope.store.store import cache_usage, clear_cache

    for name, (files, size) in cache_usage().items():
        typer.echo(f"{name}: {files} files, {size / 2**20:.0f} MiB")
    if clear:
        clear_cache()
        typer.echo("cleared")
