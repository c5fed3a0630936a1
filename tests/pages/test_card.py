"""The model card and the checklist, of a report made by hand."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from html_page import Page, check_page

from gliascope.data.labels import describe
from gliascope.data.sources import find
from gliascope.evaluation.calibration import evaluate_calibration
from gliascope.evaluation.conformal import evaluate_sets
from gliascope.evaluation.metrics import Scores, evaluate_scores
from gliascope.evaluation.reliability import reliability
from gliascope.evaluation.verdicts import evaluate_verdicts
from gliascope.inference.judge import VERDICTS
from gliascope.pages.card import model_card
from gliascope.pages.checklist import FOR_YOU, IN_PART, MET, NOT_APPLICABLE, answers, counts
from gliascope.pages.claim import ITEMS, SECTIONS
from gliascope.pages.report import Counts, Mistake, ProtocolResult, ReportData, write_report

CLASSES = ("glioma", "no_tumor", "abscess")
SPACE = "\N{NARROW NO-BREAK SPACE}"
JUDGE = {"temperature": 0.5, "method": "lac", "level": 0.99, "references": 2000}
PICTURE = b"\x89PNG\r\n\x1a\n"


def protocol(seed: int = 0, **changes: Any) -> ProtocolResult:
    rng = np.random.default_rng(seed)
    labels = np.arange(60) % 3
    chances = rng.dirichlet((1, 1, 1), 60) + 2 * np.eye(3)[labels]
    scores = Scores(chances / chances.sum(axis=1, keepdims=True), labels, np.arange(60) // 2, CLASSES)
    result = evaluate_scores(scores, 20)
    numbers = evaluate_calibration(scores, 20)
    curve = {"edges": [0.5, 1.0, 2.0], "counts": [50, 10]}
    given = np.where(scores.confidences > 0.8, *VERDICTS[:2]).tolist()
    parts: dict[str, Any] = {
        "description": f"Test number {seed}.",
        "result": result,
        "reliability": reliability(scores),
        "subgroups": {"source": {name: result | {"classes": {"glioma": 5}} for name in ("a|b", "two")}},
        "calibration": numbers
        | {"temperatures": [0.5], "before": numbers | {"reliability": reliability(scores)}},
        "sets": {"method": "lac", "level": 0.99, "groups": [300], "needed": 99, "bounds": (0.97, 0.999)}
        | {"methods": {"lac": evaluate_sets(scores, scores.probabilities >= 0.1, 20)}, "curve": []},
        "verdicts": {"by_verdict": evaluate_verdicts(scores, given, VERDICTS, 20), "outlier_scores": curve},
    }
    return ProtocolResult(**parts | changes)


@pytest.fixture(scope="module")
def report() -> ReportData:
    epoch = {"stage": 0, "epoch": 1, "lr": 0.1, "train_loss": 1.0, "train_accuracy": 0.5}
    return ReportData(
        "quick on a|b",
        "2026-11-03T14:05:22+00:00",
        "0.1.0",
        {"official": protocol(), "random": protocol(1, leaky=True, deployed=False)},
        sources=[Counts("a|b", {"glioma": 70, "no_tumor": 30}), Counts("two", {"glioma": 50})],
        parts=[Counts("train", {"glioma": 60}, 30), Counts("test", {"glioma": 60}, 30)],
        curves=[epoch | {"val_loss": 1.0, "val_accuracy": 0.5}],
        chosen_epoch=1,
        mistakes=[Mistake("a.png", "glioma", "abscess", 0.9, PICTURE)],
        rejects={"truncated": 3},
        recipe="name: quick\ndescription: Two stages.\nbackbone: small\n",
        run={"seed": 0, "environment": {"torch": "2"}},
        model={"sha256": "5eed", "activation_maps": True, "judge": JUDGE},
        audit={"level": "unsound", "protocol": "grouped", "sentences": ["Half of the test is known."]},
        overlaps=[{"a": "a|b", "b": "two", "identical_files": {"a|b": 3, "two": 3}}
                  | {"twins_any_transform": {"a|b": 8, "two": 9}}],
        decisions="Decisions of d.csv: 2 drop",
        origins={"two": find("figshare-cheng").model_dump(mode="json") | {"version": "5", "fetched": ""}},
    )  # fmt: skip


def as_json(report: ReportData, **changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(replace(report, **changes).to_json()))


def info(**changes: Any) -> dict[str, Any]:
    return {
        "research_use": "Research use only.",
        "recipe": "quick",
        "parameters": 3_376_164,
        "preprocessing": {"size": 224, "centre": None, "channels": "grey"},
        "tta": {"views": [{}, {"flip": True}]},
        "classes": CLASSES,
        "activation_maps": True,
        "model_sha256": "5eed",
        "licences": {"weights": "unknown"},
        "judge": JUDGE,
    } | changes


@pytest.fixture(scope="module")
def card(report: ReportData) -> str:
    return model_card(info(), as_json(report))


def states(report: ReportData, **changes: Any) -> dict[int, str]:
    return {answer.item.number: answer.state for answer in answers(as_json(report, **changes))}


def test_the_card_has_the_headings_of_model_cards(card: str) -> None:
    assert re.findall(r"^## (.+)$", card, re.MULTILINE) == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations", "CLAIM 2024",
    ]  # fmt: skip


def test_every_table_of_the_card_is_whole(card: str) -> None:
    width = 0
    for line in card.splitlines():
        columns = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (width and columns) or columns == width, line
        width = columns
    assert "\n\n\n" not in card
    assert "None" not in card


def test_the_card_says_what_the_classes_it_knows_are(card: str, report: ReportData) -> None:
    for label, text in describe(["glioma", "no_tumor"]).items():
        assert f"| {label} | {text} |\n" in card
    assert "no medical advice" in card
    assert "probabilities of glioma, no_tumor, abscess; class activation maps |" in card
    assert "medical advice" not in model_card(info(classes=["abscess", "cyst"]), as_json(report))


def test_the_card_says_what_the_network_sees(card: str, report: ReportData) -> None:
    assert "brought to 224×224 pixels, grey |" in card
    assert "| views averaged at prediction | 2 |" in card
    assert "`quick`: Two stages. |" in card
    preprocessing = {"size": 256, "centre": 224, "channels": "rgb"}
    cut = model_card(info(preprocessing=preprocessing, activation_maps=False), as_json(report))
    assert "brought to 256×256 pixels, rgb, of which the central 224×224 are seen |" in cut
    assert "abscess |" in cut


def test_the_card_says_what_a_verdict_is_worth(card: str, report: ReportData) -> None:
    assert f"hold the truth for 99.0{SPACE}% of patients like those" in card
    assert f"97.0 to 99.9{SPACE}%" in card
    bare = {"official": protocol(sets=None, verdicts=None)}
    without = model_card(
        info(judge=None), as_json(report, model={"sha256": "5eed", "judge": None}, protocols=bare)
    )
    assert "Findings are `unchecked`" in without
    assert "### Verdicts" not in without


def test_the_card_says_where_the_data_are_from_and_what_they_share(card: str) -> None:
    unknown, known = (line for line in card.splitlines() if line.startswith(("| a\\|b | 100", "| two | 50")))
    assert unknown.count("*for you to fill in*") == 2
    assert "| CC-BY-4.0 | Brain tumor dataset (Cheng 2017)" in known
    assert "version 5, https://figshare.com" in known
    assert "measured: 8 slices of a\\|b and 9 slices of two are copies of one another (3 and 3 of" in card
    assert "two, with the public set sartajbhuvaji: most of the tumour slices there come from here" in card
    assert "30 of the slices take no part" in card
    assert "**unsound**:\n\n- Half of the test is known.\n" in card
    assert "| truncated | 3 |" in card
    assert "Decisions of d.csv: 2 drop." in card


def test_the_card_tells_leaky_numbers_and_other_models_apart(card: str) -> None:
    assert re.search(r"^\| `random` \*\*\(LEAKY\)\*\*, other models \| [\d.]+", card, re.MULTILINE)
    assert "Other models of this recipe. Test number 1." in card
    assert "The audit calls for protocol `grouped`, which was not tested" in card
    assert "| source | a\\|b (glioma alone) |" in card


def test_the_checklist_has_the_numbers_of_the_original() -> None:
    assert [item.number for item in ITEMS] == list(range(1, 45))
    sections = list(dict.fromkeys(item.section for item in ITEMS))
    assert len(sections) == 15
    for item in ITEMS:
        assert item.name
        assert item.ask
        assert bool(item.where) == bool(item.found)


def test_only_what_the_report_holds_is_met(report: ReportData) -> None:
    found = states(report)
    assert (found[1], found[14], found[44]) == (FOR_YOU,) * 3  # of the paper, the labels, the funding
    assert (found[22], found[29], found[32]) == (MET,) * 3
    assert (found[20], found[27], found[33]) == (IN_PART, NOT_APPLICABLE, FOR_YOU)
    assert states(report, audit=None)[20] == FOR_YOU
    assert states(report, run={"ensemble": {"members": {}}})[27] == MET
    outside = {"leave-source-out": protocol(rounds={"rounds": []})}
    found = states(report, protocols=outside)
    assert (found[30], found[32], found[33]) == (IN_PART, FOR_YOU, IN_PART)
    assert states(report, protocols={"random": protocol(leaky=True)})[32] == FOR_YOU


def test_of_a_foreign_model_training_is_for_the_user(report: ReportData) -> None:
    bare = {"recipe": "", "run": {}, "curves": (), "chosen_epoch": None, "model": {"sha256": "5eed"}}
    found = states(report, foreign=True, **bare)
    assert {found[number] for number in (9, 19, 20, 22, 23, 24, 25, 26, 27, 31, 32, 33)} == {FOR_YOU}
    assert (found[29], found[43]) == (MET, IN_PART)


def test_what_is_met_is_where_the_checklist_says(report: ReportData, tmp_path: Path) -> None:
    bare = ReportData("Bare", "", "0", {"official": protocol(subgroups={}, sets=None, verdicts=None)})
    for name, one in {"full": report, "bare": bare}.items():
        write_report(tmp_path / name, one)
        html = (tmp_path / name / "report.html").read_text(encoding="utf-8")
        content = json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8"))
        for place, (title, shown) in SECTIONS.items():
            assert bool(shown(content)) == (f'<h2 id="{place}">{title}' in html), (name, place)
        page = check_page(html)
        number = counts(answers(content))
        assert f"of 44 items, {number[MET]} met, {number[IN_PART]} in part" in page.text
        assert sum(number.values()) == 44


def test_the_page_says_what_to_keep_in_mind(report: ReportData, tmp_path: Path) -> None:
    write_report(tmp_path, replace(report, foreign=True, audit=None))
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "No audit was made" in text
    assert "It was trained elsewhere." in text
    assert "MODEL_CARD.md" not in text


def test_the_card_and_the_page_say_what_was_not_tested(report: ReportData, tmp_path: Path) -> None:
    first = next(iter(report.protocols))
    lacking = {
        "untested": ["pituitary"],
        "few": {"glioma": 1},
        "uncalibrated": [],
        "averaged_over": {},
        "notes": ["No test slice is of pituitary: how well the model tells it was not tested."],
    }
    protocols = {**report.protocols, first: replace(report.protocols[first], untested=lacking)}
    changed = replace(report, protocols=protocols)
    said = model_card(info(), as_json(changed))
    assert "What these tests could not tell:" in said
    assert f"- {first}: No test slice is of pituitary" in said
    assert "It was not tested on pituitary: no test slice is of that class." in said
    write_report(tmp_path, changed)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert f"{first}: No test slice is of pituitary" in text
    found = json.loads((tmp_path / "report.json").read_text())["protocols"]
    assert found[first]["untested"] == ["pituitary"]
    assert found[first]["few"] == {"glioma": 1}
