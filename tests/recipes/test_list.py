import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.recipes import load_recipe, recipe_names, recipe_text

WIDE = {"COLUMNS": "1000"}


def test_all_recipes_are_listed_with_origin_and_result() -> None:
    outcome = CliRunner().invoke(app, ["recipes"], env=WIDE)
    assert outcome.exit_code == 0
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.description in outcome.stdout
        if recipe.origin:
            for fact in (recipe.origin.project, recipe.origin.data, recipe.origin.result):
                assert fact in outcome.stdout, name
    names = [line.split("│")[2].strip() for line in outcome.stdout.splitlines() if line.startswith("│ name")]
    assert names == recipe_names()


def test_a_narrow_terminal_cuts_nothing_off() -> None:
    outcome = CliRunner().invoke(app, ["recipes"], env={"COLUMNS": "60"})
    assert max(map(len, outcome.stdout.splitlines())) <= 60
    assert "…" not in outcome.stdout
    for name in recipe_names():
        assert f"│ {name} " in outcome.stdout


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_printed_in_full(name: str) -> None:
    outcome = CliRunner().invoke(app, ["recipes", name])
    assert outcome.stdout == recipe_text(name)


def test_a_name_that_is_none_is_one_line_and_exit_code_2() -> None:
    outcome = CliRunner().invoke(app, ["recipes", "bset"])
    assert outcome.exit_code == 2
    assert "unknown recipe 'bset'; choose from best, " in outcome.stderr


def test_listing_needs_no_torch() -> None:
    code = (
        "import sys; from gliascope.cli.recipes import recipes; recipes();"
        "assert not {'torch', 'timm', 'polars', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
