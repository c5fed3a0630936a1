from pathlib import Path

import polars as pl

from gliascope.commands.train import run_folders
from gliascope.splits.split import Split


def rounds(*names: str) -> list[Split]:
    facts = {"label": ["glioma"], "subset": ["train"], "group": [0], "calibrates": [True]}
    return [
        Split(
            pl.DataFrame(
                facts | {"protocol": "leave-source-out", "fold_name": name, "pixel_hash": f"{number}"}
            )
        )
        for number, name in enumerate(names)
    ]


def test_runs_are_named_by_their_rounds_however_long_the_names_of_sources_are(tmp_path: Path) -> None:
    sources = ["a", "ö" * 120, "ö" * 119 + "o", "a b", "a-b"]
    places = list(run_folders(rounds(*(f"without {name}" for name in sources)), tmp_path / "run"))
    assert places[0] == tmp_path / "run"
    assert len({place.name for place in places}) == len(sources)
    for place in places:
        place.mkdir()
        assert len(place.name.encode()) <= 255
    assert list(run_folders(rounds(*(f"without {name}" for name in sources)), tmp_path / "run")) == places
