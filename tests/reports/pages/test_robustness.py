import json
from pathlib import Path

import numpy as np
import pytest
from html_page import check_page

from gliascope.evaluation.estimate import Estimate
from gliascope.evaluation.robustness import RobustnessMetrics
from gliascope.evaluation.verdicts import VerdictMetrics
from gliascope.reports.pages.robustness import CorruptedExample, figures, write_robustness
from gliascope.reports.robustness import Corruption, Robustness, RobustnessRun, Strength, worst_strength

PIXELS = np.arange(400, dtype=np.uint8).reshape(20, 20)


def number(value: float | None, low: float | None = None, high: float | None = None) -> Estimate:
    return Estimate(value=value, low=low, high=high)


def metrics(accuracy: float, accepted_errors: float = 0.02, judged: bool = True) -> RobustnessMetrics:
    loss, more = 0.95 - accuracy, accepted_errors - 0.02
    right = None if accuracy < 0.5 else 0.97  # below, nothing is accepted
    verdicts = {
        "accepted": VerdictMetrics(n=9, share=number(0.9 if right else 0), accuracy=number(right)),
        "out of scope": VerdictMetrics(n=1, share=number(0.1), accuracy=number(0.5)),
    }
    return RobustnessMetrics(
        accuracy=number(accuracy, accuracy - 0.04, min(1, accuracy + 0.04)),
        balanced_accuracy=number(accuracy),
        ece=number(0.01 + loss, 0.01, 0.1 + loss),
        confidence=0.9,
        accuracy_loss=number(loss, loss - 0.02, loss + 0.02),
        verdicts=verdicts if judged else None,
        accepted_errors=number(accepted_errors) if judged else None,
        accepted_errors_increase=number(more, more - 0.01, more + 0.01) if judged else None,
    )


def strength(value: float, accuracy: float, accepted_errors: float = 0.02, judged: bool = True) -> Strength:
    found = metrics(accuracy, accepted_errors, judged)
    return Strength(**dict(found), strength=value, setting=f"{value:g} %")


def corruption(name: str, *strengths: Strength) -> Corruption:
    return Corruption(
        title=name.capitalize(),
        imitates="As of <i>somewhere</i>.",
        worst=worst_strength(strengths),
        strengths=strengths,
    )


def data(judged: bool = True, **strengths: list[Strength]) -> Robustness:
    return Robustness(
        title="quick, corrupted",
        created="2026-11-22T02:00:00+00:00",
        run=RobustnessRun(recipe="quick", folder="run", protocol="official", seed=0),
        slices=300,
        groups=200,
        test_slices=1311,
        excluded={"not found": 2},
        has_verdicts=judged,
        clean=metrics(0.95, judged=judged),
        corruptions={name: corruption(name, *found) for name, found in strengths.items()},
    )


def shown(tested: Robustness) -> dict[str, list[CorruptedExample]]:
    """The slice under each strength: called glioma where the model is mostly right, else something hostile."""

    def answer(found: RobustnessMetrics) -> CorruptedExample:
        said = "glioma" if (found.accuracy.value or 0) > 0.5 else "<b>"
        return CorruptedExample(PIXELS, "glioma", said, 0.8, "accepted" if tested.has_verdicts else None)

    return {
        name: [answer(tested.clean), *map(answer, one.strengths)] for name, one in tested.corruptions.items()
    }


ALL = data(
    noise=[strength(2, 0.95), strength(5, 0.4)],
    blur=[strength(1, 0.9, 0.03), strength(2, 0.7, 0.2), strength(4, 0.75, 0.3)],
    jpeg=[strength(50, 0.95), strength(5, 0.94)],
)


def test_the_head_names_the_worst_and_what_the_verdicts_do(tmp_path: Path) -> None:
    write_robustness(tmp_path, ALL, shown(ALL))
    page = check_page((tmp_path / "robustness.html").read_text(encoding="utf-8"))
    # Words in bold are apart from the sign that follows.
    said = page.text.replace("\N{NARROW NO-BREAK SPACE}", " ").replace(" :", ":")
    for words in (
        "Noise costs the most: at 5 %, accuracy falls from 95.0 % to 40.0 %",
        "of which 2.0 % are wrong and accepted: 30.0 % under Blur at 4 %.",
        "The verdicts detect Noise: accuracy is lost",
        "no loss under Jpeg",
        "300 slices of 200 groups, of 1,311 that test protocol official",
        "2 slices excluded: not found",
    ):
        assert words in said, words
    assert "<i>somewhere</i>" in page.text and "✗ <b>" in page.text
    found = json.loads((tmp_path / "robustness.json").read_text(encoding="utf-8"))
    assert [row["strength"] for row in found["corruptions"]["blur"]["strengths"]] == [1, 2, 4]
    assert found["corruptions"]["blur"]["worst"] == 2 and found["clean"]["accuracy"]["value"] == 0.95
    assert all(one.png().startswith(b"\x89PNG") for one in figures(ALL, shown(ALL)).values())


def test_where_nothing_is_lost_the_page_says_so(tmp_path: Path) -> None:
    harmless = data(noise=[strength(2, 0.95), strength(5, 0.94)])
    write_robustness(tmp_path, harmless, shown(harmless))
    page = check_page((tmp_path / "robustness.html").read_text(encoding="utf-8"))
    assert "No corruption tried here costs accuracy beyond chance" in page.text
    assert "The verdicts" not in page.text.split("At the worst")[0]


def test_without_a_calibrator_the_page_says_so(tmp_path: Path) -> None:
    bare = data(judged=False, noise=[strength(2, 0.95, judged=False), strength(5, 0.4, judged=False)])
    write_robustness(tmp_path, bare, shown(bare))
    page = check_page((tmp_path / "robustness.html").read_text(encoding="utf-8"))
    assert "The model has no calibrator" in page.text and "Accepted" not in page.text


@pytest.mark.parametrize("ends", [(None, None), (0.0, 0.1)])
def test_a_loss_that_chance_explains_is_none(ends: tuple[float | None, float | None]) -> None:
    low, high = ends
    some = strength(5, 0.9, 0.1).model_copy(
        update={"accuracy_loss": number(0.05, low, high), "accepted_errors_increase": number(0.08, low, high)}
    )
    one = corruption("noise", some)
    assert not one.costs_accuracy and one.most_accepted_errors is None
    assert one.worst == 5
