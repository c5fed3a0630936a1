"""The command line.

There is one module for each command, which parses arguments, calls a function of the library and prints the
result. Nothing is computed here.
"""

import errno
from typing import Any

import typer
from typer.core import TyperGroup

from gliascope.cli import (
    audit,
    bundle,
    cache,
    compare,
    crossval,
    demo,
    ensemble,
    evaluate,
    explain,
    explore,
    export,
    fetch,
    keys,
    predict,
    recipes,
    reproduce,
    robustness,
    run,
    runs,
    scan,
    serve,
    split,
    store,
    train,
    tune,
    verify,
)
from gliascope.cli.environment import missing_module, set_up_process
from gliascope.errors import GliascopeError
from gliascope.runtime.folders import printable

_REMEDIES = {
    errno.ENOSPC: "; free space there (for the cache, `gliascope cache --clear`, or set GLIASCOPE_CACHE)",
    errno.EACCES: "; check its permissions",
    errno.EROFS: "; choose a folder that can be written",
}


class _Group(TyperGroup):
    """Turns errors that a user can cause into one line and an exit code: 2 for errors, 130 for Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted; finished results are kept, and no file is half-written", err=True)
            raise typer.Exit(130) from None
        except GliascopeError as error:
            message = str(error)
        except ImportError as error:
            if (error.name or "").partition(".")[0] == "gliascope":
                raise
            message = missing_module(error)
        except OSError as error:
            if error.strerror is None:
                raise
            where = f"{error.filename}: " if error.filename else ""
            message = f"{where}{error.strerror}{_REMEDIES.get(error.errno or 0, '')}"
        typer.echo(f"error: {printable(message)}", err=True)
        raise typer.Exit(2)


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    help="Brain tumour classification on MRI and CT slices that you can believe. Research use only.",
)
_PANELS = {
    "All steps at once": (run.run, crossval.crossval, tune.tune, ensemble.ensemble, demo.demo),
    "Step by step": (
        scan.scan,
        audit.audit,
        split.split,
        store.store,
        train.train,
        evaluate.evaluate,
        bundle.bundle,
    ),
    "Test a model": (
        compare.compare,
        robustness.robustness,
        explain.explain,
        verify.verify,
        reproduce.reproduce,
    ),
    "Use a model": (predict.predict, serve.serve, keys.app),
    "Data": (fetch.fetch, explore.explore, export.export_dataset),
    "Upkeep": (recipes.recipes, runs.runs, cache.cache),
}
"""Headings of `gliascope --help`, in order, with their commands."""

for _panel, _commands in _PANELS.items():
    for _command in _commands:
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, rich_help_panel=_panel)
        else:
            app.command(rich_help_panel=_panel)(_command)


def main() -> None:
    """Run the command line; entry point of the command `gliascope`."""
    set_up_process()
    app()
