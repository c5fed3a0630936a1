import typer
from typer.testing import CliRunner

from gliascope.cli import app

PANELS = ["All steps at once", "Step by step", "Test a model", "Use a model", "Data", "Upkeep"]


def test_every_command_has_a_group() -> None:
    commands = typer.main.get_command(app).commands
    assert len(commands) >= 26
    assert {
        name: command.rich_help_panel
        for name, command in commands.items()
        if command.rich_help_panel not in PANELS
    } == {}


def test_help_shows_each_group_once_and_in_order_with_its_commands() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120", "NO_COLOR": "1"}).output
    heads = [line for line in shown.splitlines() if line.startswith("╭─")]
    assert [head.strip("╭─╮ ") for head in heads] == ["Options", *PANELS]
    use = shown[shown.index("Use a model") : shown.index("─ Data")]
    assert [name for name in ("predict", "serve", "keys") if f"│ {name} " in use] == [
        "predict",
        "serve",
        "keys",
    ]
