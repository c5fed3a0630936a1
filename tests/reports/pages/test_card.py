"""The model card and the checklist, of a report made by hand."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from html_page import Page, check_page
from reported import CALIBRATOR, RUN, TABLE, TRAINED, epoch, make_report, protocol_report

from gliascope.audit.facts import AuditVerdict, SourceOverlap
from gliascope.classes import describe_classes
from gliascope.download import find_public_set
from gliascope.download.public import Origin
from gliascope.evaluation.calibration import evaluate_calibration
from gliascope.evaluation.conformal import evaluate_sets
from gliascope.evaluation.folds import Folds, summarise_folds
from gliascope.evaluation.metrics import Scores, evaluate_scores
from gliascope.evaluation.reliability import reliability
from gliascope.evaluation.subgroups import Subgroup
from gliascope.evaluation.verdicts import Histogram, evaluate_verdicts
from gliascope.inference.bundle import BundleInfo
from gliascope.recipes.run import EnsembleRecord
from gliascope.reports.pages.card import model_card
from gliascope.reports.pages.checklist import FOR_YOU, IN_PART, MET, NOT_APPLICABLE, check_items, count_states
from gliascope.reports.pages.claim import ITEMS, SECTIONS
from gliascope.reports.pages.report import MistakePicture, write_report
from gliascope.reports.report import ClassCounts, Mistake, ProtocolReport, Report
from gliascope.reports.uncertainty import Calibration, PredictionSets, Uncalibrated, Verdicts
from gliascope.uncertainty.calibrator import VERDICTS

CLASSES = ("glioma", "no_tumor", "abscess")
SPACE = "\N{NARROW NO-BREAK SPACE}"
PICTURE = MistakePicture(b"\x89PNG\r\n\x1a\n")


def simulated(seed: int) -> Scores:
    rng = np.random.default_rng(seed)
    labels = np.arange(60) % 3
    chances = rng.dirichlet((1, 1, 1), 60) + 2 * np.eye(3)[labels]
    return Scores(chances / chances.sum(axis=1, keepdims=True), labels, np.arange(60) // 2, CLASSES)


def protocol(seed: int = 0, **changes: Any) -> ProtocolReport:
    scores = simulated(seed)
    result = evaluate_scores(scores, 20)
    numbers = evaluate_calibration(scores, 20)
    curve = Histogram(edges=(0.5, 1.0, 2.0), counts=(50, 10))
    subgroup = {key: getattr(result, key) for key in ("n", "groups", "accuracy", "balanced_accuracy")}
    of_glioma = Subgroup(**subgroup, classes={"glioma": 5})
    given = np.where(scores.confidences > 0.8, *VERDICTS[:2]).tolist()
    sets = evaluate_sets(scores, scores.probabilities >= 0.1, 20)
    parts: dict[str, Any] = {
        "subgroups": {"source": {"a|b": of_glioma, "two": of_glioma}},
        "calibration": Calibration(
            **dict(numbers),
            temperatures=(0.5,),
            before=Uncalibrated(**dict(numbers), reliability=tuple(reliability(scores))),
        ),
        "sets": PredictionSets(
            method="lac", level=0.99, groups=(300,), needed=99, bounds=(0.97, 0.999), methods={"lac": sets}
        ),
        "verdicts": Verdicts(
            by_verdict=evaluate_verdicts(scores, given, VERDICTS, resamples=20), outlier_scores=curve
        ),
    }
    return protocol_report(scores, f"Test number {seed}.", 20, **parts | changes)


@pytest.fixture(scope="module")
def report() -> Report:
    origin = find_public_set("figshare-cheng").model_dump() | {"version": "5", "fetched": ""}
    return make_report(
        {"official": protocol(), "random": protocol(1, leaky=True, deployed=False)},
        title="quick on a|b",
        created="2026-11-03T14:05:22+00:00",
        sources=(
            ClassCounts.of("a|b", {"glioma": 70, "no_tumor": 30}),
            ClassCounts.of("two", {"glioma": 50}),
        ),
        subsets=(ClassCounts.of("train", {"glioma": 60}, 30), ClassCounts.of("test", {"glioma": 60}, 30)),
        curves=(epoch(1),),
        chosen_epoch=1,
        mistakes=(Mistake(file="a.png", label="glioma", predicted="abscess", probability=0.9),),
        unreadable={"truncated": 3},
        recipe="name: quick\ndescription: Two stages.\nbackbone: small\n",
        run=RUN,
        model=TRAINED,
        audit=AuditVerdict(level="unsound", protocol="grouped", sentences=("Half of the test is known.",)),
        overlaps=(
            SourceOverlap(
                a="a|b",
                b="two",
                identical_files={"a|b": 3, "two": 3},
                twins={"a|b": 3, "two": 3},
                twins_any_transform={"a|b": 8, "two": 9},
            ),
        ),
        decisions="Decisions of d.csv: 2 drop",
        origins={"two": Origin.model_validate(origin)},
    )


def changed(report: Report, **changes: Any) -> Report:
    return report.model_copy(update=changes)


def info(**changes: Any) -> BundleInfo:
    facts = {
        "recipe": "quick",
        "parameters": 3_376_164,
        "preprocessing": {"size": 224, "channels": "grey"},
        "tta": {"views": [{}, {"flip": True}]},
        "classes": CLASSES,
        "activation_maps": True,
        "model_sha256": "5eed",
        "versions": {},
        "licences": {"weights": "unknown"},
        "calibrator": CALIBRATOR,
    }
    return BundleInfo.model_validate(facts | changes)


@pytest.fixture(scope="module")
def card(report: Report) -> str:
    return model_card(info(), report)


def states(report: Report, **changes: Any) -> dict[int, str]:
    return {answer.item.number: answer.state for answer in check_items(changed(report, **changes))}


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


def test_the_card_says_what_the_classes_it_knows_are(card: str, report: Report) -> None:
    for label, text in describe_classes(["glioma", "no_tumor"]).items():
        assert f"| {label} | {text} |\n" in card
    assert "no medical advice" in card
    assert "probabilities of glioma, no_tumor, abscess; class activation maps |" in card
    assert "medical advice" not in model_card(info(classes=("abscess", "cyst")), report)


def test_the_card_says_what_the_network_sees(card: str, report: Report) -> None:
    assert "brought to 224×224 pixels, grey |" in card
    assert "| views averaged at prediction | 2 |" in card
    assert "`quick`: Two stages. |" in card
    preprocessing = {"size": 256, "centre": 224, "channels": "rgb"}
    cut = model_card(info(preprocessing=preprocessing, activation_maps=False), report)
    assert "brought to 256×256 pixels, rgb, of which the central 224×224 are seen |" in cut
    assert "abscess |" in cut


def test_the_card_says_what_a_verdict_is_worth(card: str, report: Report) -> None:
    assert f"hold the truth for 99.0{SPACE}% of patients like those" in card
    assert f"97.0 to 99.9{SPACE}%" in card
    bare = {"official": protocol(sets=None, verdicts=None)}
    without = model_card(
        info(calibrator=None),
        changed(report, model=TRAINED.model_copy(update={"calibrator": None}), protocols=bare),
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
        assert item.to_add
        assert bool(item.sections) == bool(item.content)


def test_only_what_the_report_holds_is_met(report: Report) -> None:
    found = states(report)
    assert (found[1], found[14], found[44]) == (FOR_YOU,) * 3  # of the paper, the labels, the funding
    assert (found[22], found[29], found[32]) == (MET,) * 3
    assert (found[20], found[27], found[33]) == (IN_PART, NOT_APPLICABLE, FOR_YOU)
    assert states(report, audit=None)[20] == FOR_YOU
    joined = RUN.model_copy(update={"ensemble": EnsembleRecord(average="logits", members={})})
    assert states(report, run=joined)[27] == MET
    folds = summarise_folds({str(seed): simulated(seed) for seed in (0, 1)})
    outside = {"leave-source-out": protocol(folds=Folds(**dict(folds), repeats=None))}
    found = states(report, protocols=outside)
    assert (found[30], found[32], found[33]) == (IN_PART, FOR_YOU, IN_PART)
    assert states(report, protocols={"random": protocol(leaky=True)})[32] == FOR_YOU


def test_of_a_external_model_training_is_for_the_user(report: Report) -> None:
    bare = {"recipe": "", "run": None, "curves": (), "chosen_epoch": None, "model": TABLE}
    found = states(report, external=True, **bare)
    assert {found[number] for number in (9, 19, 20, 22, 23, 24, 25, 26, 27, 31, 32, 33)} == {FOR_YOU}
    assert (found[29], found[43]) == (MET, IN_PART)


def test_what_is_met_is_where_the_checklist_says(report: Report, tmp_path: Path) -> None:
    bare = make_report({"official": protocol(subgroups={}, sets=None, verdicts=None)})
    for name, one in {"full": report, "bare": bare}.items():
        write_report(tmp_path / name, one, [PICTURE] * len(one.mistakes))
        html = (tmp_path / name / "report.html").read_text(encoding="utf-8")
        content = Report.load(tmp_path / name / "report.json")
        for place, (title, shown) in SECTIONS.items():
            assert bool(shown(content)) == (f'<h2 id="{place}">{title}' in html), (name, place)
        page = check_page(html)
        number = count_states(check_items(content))
        assert f"of 44 items, {number[MET]} met, {number[IN_PART]} in part" in page.text
        assert sum(number.values()) == 44


def test_the_page_says_what_to_keep_in_mind(report: Report, tmp_path: Path) -> None:
    write_report(tmp_path, changed(report, external=True, audit=None), [PICTURE])
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "No audit was made" in text
    assert "It was trained elsewhere." in text
    assert "MODEL_CARD.md" not in text


def test_the_card_and_the_page_say_what_was_not_tested(report: Report, tmp_path: Path) -> None:
    first = next(iter(report.protocols))
    lacking = {
        "untested": ("pituitary",),
        "few": {"glioma": 1},
        "notes": ("No test slice is of pituitary: how well the model tells it was not tested.",),
    }
    protocols = {**report.protocols, first: report.protocols[first].model_copy(update=lacking)}
    lacks = changed(report, protocols=protocols)
    said = model_card(info(), lacks)
    assert "What these tests could not tell:" in said
    assert f"- {first}: No test slice is of pituitary" in said
    assert "It was not tested on pituitary: no test slice is of that class." in said
    write_report(tmp_path, lacks, [PICTURE])
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert f"{first}: No test slice is of pituitary" in text
    found = json.loads((tmp_path / "report.json").read_text())["protocols"]
    assert found[first]["untested"] == ["pituitary"]
    assert found[first]["few"] == {"glioma": 1}
