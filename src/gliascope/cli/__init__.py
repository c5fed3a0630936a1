"""The command line: parse, call, print. Nothing is computed here."""

from typing import Any

import typer
from typer.core import TyperGroup

from gliascope.cli import bundle, cache, demo, evaluate, predict, run, scan, split, store, train
from gliascope.errors import GliascopeError


class _Group(TyperGroup):
    """Turns what a user can cause into one line and an exit code: 2 for errors, 130 for Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted; the same command goes on where this one stopped", err=True)
            raise typer.Exit(130) from None
        except GliascopeError as error:
            typer.echo(f"error: {error}", err=True)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("gliascope"):
                raise
            typer.echo(f"error: {error.name} is missing: pip install 'gliascope[train]'", err=True)
        except OSError as error:
            if error.strerror is None:
                raise
            where = f"{error.filename}: " if error.filename else ""
            typer.echo(f"error: {where}{error.strerror}; free space or check permissions", err=True)
        raise typer.Exit(2)


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    help="Brain tumour classification on MRI and CT slices that you can believe. Research use only.",
)
for _command in (
    run.run,
    demo.demo,
    scan.scan,
    split.split,
    store.store,
    train.train,
    evaluate.evaluate,
    bundle.bundle,
    predict.predict,
    cache.cache,
):
    app.command()(_command)


def main() -> None:
    """Entry point of the command `gliascope`."""
    app()
