"""`gliascope keys`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.runtime.folders import printable

app = typer.Typer(name="keys", no_args_is_help=True, help="Make, list and remove the API keys of `serve`.")

KeysFile = Annotated[Path, typer.Option("--file", help="The file that `serve --keys` reads.")]
Name = Annotated[str, typer.Argument(help="Name of the key's owner: letters, digits and ._@-")]


@app.command()
def add(
    name: Name,
    file: KeysFile = Path("keys.json"),
    scope: Annotated[
        list[str] | None, typer.Option(help="predict (the default) or admin. Repeatable.")
    ] = None,
) -> None:
    """Make a key and print it once; the file stores only its hash."""
    from gliascope.server.keys import KeyRing, parse_scopes

    ring = KeyRing.load(file) if file.exists() else KeyRing()
    ring, secret = ring.add(name, parse_scopes(scope or ["predict"]))
    ring.save(file)
    typer.echo(secret)
    typer.echo(f"store this key now: {printable(str(file))} holds only its hash", err=True)


@app.command("list")
def list_keys(file: KeysFile = Path("keys.json")) -> None:
    """List owner, scopes and date of each key."""
    from gliascope.server.keys import KeyRing

    for key in KeyRing.load(file).keys:
        typer.echo(f"{key.name}\t{','.join(key.scopes)}\t{key.created:%Y-%m-%d}")


@app.command()
def remove(name: Name, file: KeysFile = Path("keys.json")) -> None:
    """Remove a key. A running server needs a reload: `POST /v1/models/reload` or SIGHUP."""
    from gliascope.server.keys import KeyRing

    KeyRing.load(file).remove(name).save(file)
