"""`gliascope recipes`."""

from typing import Annotated

import typer

Name = Annotated[str | None, typer.Argument(help="Name of a recipe, to print it in full as YAML.")]


def recipes(name: Name = None) -> None:
    """List the recipes with their origin and published result, or print one recipe."""
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

    # Each fact is a row, not a column, because the texts need the width of a terminal.
    table = Table("", "recipe", title="Recipes")
    for name in recipe_names():
        recipe = load_recipe(name)
        table.add_row("name", f"[bold]{escape(name)}[/bold]")
        table.add_row("what", escape(recipe.description))
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
    console.print("Results are those that the origin published; docs/systems.md compares them with ours.")
    console.print("`gliascope recipes NAME` prints a recipe in full.")
