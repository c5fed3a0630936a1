import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from html_page import check_page

from gliascope.pages.robustness import Answer, Disturbed, Grade, RobustnessData, write_robustness

PIXELS = np.arange(400, dtype=np.uint8).reshape(20, 20)


def number(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high}


def grade(strength: float, accuracy: float, unnoticed: float = 0.02, judged: bool = True) -> Grade:
    loss, more = 0.95 - accuracy, unnoticed - 0.02
    numbers: dict[str, Any] = {
        "accuracy": number(accuracy, accuracy - 0.04, min(1, accuracy + 0.04)),
        "balanced_accuracy": number(accuracy),
        "ece": number(0.01 + loss, 0.01, 0.1 + loss),
        "confidence": 0.9,
        "loss": number(loss, loss - 0.02, loss + 0.02),
        "verdicts": None,
        "unnoticed": None,
        "unnoticed_more": None,
    }
    if judged:
        nothing_accepted = accuracy < 0.5
        accepted = {
            "share": number(0 if nothing_accepted else 0.9),
            "accuracy": number(None if nothing_accepted else 0.97),
        }
        numbers |= {
            "verdicts": {
                "accepted": accepted,
                "out of scope": {"share": number(0.1), "accuracy": number(0.5)},
            },
            "unnoticed": number(unnoticed),
            "unnoticed_more": number(more, more - 0.01, more + 0.01),
        }
    shown = Answer(
        PIXELS, "glioma", "glioma" if accuracy > 0.5 else "<b>", 0.8, "accepted" if judged else None
    )
    return Grade(strength, f"{strength:g} %" if strength else "as it is", numbers, shown)


def data(judged: bool = True, **grades: list[Grade]) -> RobustnessData:
    tests = {
        name: Disturbed(name.capitalize(), "As of <i>somewhere</i>.", [grade(0, 0.95, judged=judged), *found])
        for name, found in grades.items()
    }
    return RobustnessData(
        "quick, disturbed", "2026-11-22T02:00:00+00:00", "0.1.0", {"protocol": "official"}, 300, 200, 1311,
        {"not found": 2}, judged, tests,
    )  # fmt: skip


ALL = data(
    noise=[grade(2, 0.95), grade(5, 0.4)],
    blur=[grade(1, 0.9, 0.03), grade(2, 0.7, 0.2), grade(4, 0.75, 0.3)],
    jpeg=[grade(50, 0.95), grade(5, 0.94)],
)


def test_the_head_names_the_worst_and_what_the_verdicts_do(tmp_path: Path) -> None:
    write_robustness(tmp_path, ALL)
    page = check_page((tmp_path / "robustness.html").read_text(encoding="utf-8"))
    # Words in bold are apart from the sign that follows.
    said = page.text.replace("\N{NARROW NO-BREAK SPACE}", " ").replace(" :", ":")
    for words in (
        "Noise costs the most: at 5 %, accuracy falls from 95.0 % to 40.0 %",
        "of which 2.0 % are wrong and accepted: 30.0 % under Blur at 4 %.",
        "The verdicts notice Noise: accuracy is lost",
        "no loss under Jpeg",
        "300 slices of 200 groups, of 1,311 that test protocol official",
        "2 slices set aside: not found",
    ):
        assert words in said, words
    assert "<i>somewhere</i>" in page.text and "✗ <b>" in page.text
    found = json.loads((tmp_path / "robustness.json").read_text(encoding="utf-8"))
    assert [row["strength"] for row in found["disturbances"]["blur"]["strengths"]] == [1, 2, 4]
    assert found["disturbances"]["blur"]["worst"] == 2 and found["clean"]["accuracy"]["value"] == 0.95
    assert all(one.png().startswith(b"\x89PNG") for one in ALL.figures.values())


def test_where_nothing_is_lost_the_page_says_so(tmp_path: Path) -> None:
    write_robustness(tmp_path, data(noise=[grade(2, 0.95), grade(5, 0.94)]))
    page = check_page((tmp_path / "robustness.html").read_text(encoding="utf-8"))
    assert "No disturbance tried here costs accuracy beyond chance" in page.text
    assert "The verdicts" not in page.text.split("At the worst")[0]


def test_without_a_calibrator_the_page_says_so(tmp_path: Path) -> None:
    write_robustness(
        tmp_path, data(judged=False, noise=[grade(2, 0.95, judged=False), grade(5, 0.4, judged=False)])
    )
    page = check_page((tmp_path / "robustness.html").read_text(encoding="utf-8"))
    assert "The model has no calibrator" in page.text and "Accepted" not in page.text


@pytest.mark.parametrize("ends", [(None, None), (0.0, 0.1)])
def test_a_loss_that_chance_explains_is_none(ends: tuple[float | None, float | None]) -> None:
    some = grade(5, 0.9, 0.1)
    numbers = {key: value | dict(zip(("low", "high"), ends, strict=True)) if key in ("loss", "unnoticed_more") else value
               for key, value in some.numbers.items()}  # fmt: skip
    one = Disturbed("Noise", "…", [grade(0, 0.95), replace(some, numbers=numbers)])
    assert not one.costs and one.missed is None
    assert one.worst.strength == 5
