"""`gliascope recipes`."""

from typing import Annotated

import typer

Name = Annotated[str | None, typer.Argument(help="A recipe, to print it as YAML in full.")]


def recipes(name: Name = None) -> None:
    """List the recipes, what each is, where it comes from and with what result; or print one."""
    from gliascope.recipes import recipe_text

    if name is None:
        _print_all()
    else:
        typer.echo(recipe_text(name), nl=False)


def _print_all() -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from gliascope.recipes import load_recipe, recipe_names

    # A row a fact, not a column: the texts need the width of a terminal.
    table = Table("", "recipe", title="Recipes")
    for name in recipe_names():
        recipe = load_recipe(name)
        table.add_row("name", f"[bold]{escape(name)}[/bold]")
        table.add_row("is", escape(recipe.description))
        if recipe.origin:
            table.add_row("origin", escape(recipe.origin.project))
            table.add_row("data", escape(recipe.origin.data))
            table.add_row("result", escape(recipe.origin.result))
        else:
            table.add_row("origin", "Gliascope")
            table.add_row("result", "docs/systems.md")
        table.add_section()
    console = Console(highlight=False)
    console.print(table)
    console.print("Results are the origin's own; docs/systems.md has ours beside them.")
    console.print("`gliascope recipes NAME` prints one in full.")
