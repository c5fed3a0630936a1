"""MODEL_CARD.md: what a bundle is, what it was trained on, how good it is, and what it is not for."""

from collections.abc import Mapping
from typing import Any


def model_card(info: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Write the card from bundle.json and report.json.

    Headings follow Mitchell et al., Model Cards for Model Reporting, 2019.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from gliascope.evaluation.page import decimal, percent, span

    environment = Environment(  # noqa: S701 (Markdown, not HTML)
        loader=PackageLoader("gliascope.evaluation"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"decimal": decimal, "percent": percent, "span": span}
    return environment.get_template("MODEL_CARD.md.j2").render(info=info, report=report)
