from typing import Any

from gliascope.data.labels import describe
from gliascope.pages.card import model_card

NUMBER = {"value": 0.9, "low": 0.8, "high": 0.95}
RESULT = dict.fromkeys(("accuracy", "balanced_accuracy", "macro_auroc", "ece"), NUMBER)
REPORT = {
    "title": "one",
    "sources": [{"name": "one", "total": 8, "slices": {"glioma": 8}}],
    "parts": [{"name": "test", "total": 8, "groups": 4}],
    "protocols": {"official": RESULT | {"n": 8, "description": "As it is."}},
}


def info(**changes: Any) -> dict[str, Any]:
    return {
        "research_use": "Research use only.",
        "recipe": "quick",
        "parameters": 3_376_164,
        "versions": {"gliascope": "0"},
        "preprocessing": {"size": 224, "centre": None, "channels": "grey"},
        "tta": {"views": [{}, {"flip": True}]},
        "classes": ["glioma", "no_tumor", "abscess"],
        "activation_maps": True,
        "licences": {"weights": "unknown"},
        "confidence_threshold": 0.5,
    } | changes


def test_the_card_says_what_the_classes_it_knows_are() -> None:
    card = model_card(info(), REPORT)
    for label, text in describe(["glioma", "no_tumor"]).items():
        assert f"- {label}: {text}\n" in card
    assert "no medical advice" in card
    assert "probabilities of glioma, no_tumor, abscess; class activation maps." in card
    assert "## Classes" not in model_card(info(classes=["abscess", "cyst"]), REPORT)


def test_the_card_says_what_the_network_sees() -> None:
    assert "brought to 224×224 pixels, grey. Views averaged at prediction: 2." in model_card(info(), REPORT)
    preprocessing = {"size": 256, "centre": 224, "channels": "rgb"}
    cut = model_card(info(preprocessing=preprocessing, activation_maps=False), REPORT)
    assert "brought to 256×256 pixels, rgb, of which the central 224×224 are seen." in cut
    assert "activation maps" not in cut
