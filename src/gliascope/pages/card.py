"""MODEL_CARD.md: what a bundle is, what it was trained on, how good it is, and what it is not for."""

from collections.abc import Mapping
from typing import Any

from gliascope.pages.templates import render


def model_card(info: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Write the card from bundle.json and report.json.

    Headings follow Mitchell et al., Model Cards for Model Reporting, 2019.
    """
    return render("MODEL_CARD.md.j2", info=info, report=report)
