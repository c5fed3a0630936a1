"""The Jinja environment. A page is one file without scripts that loads nothing."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from gliascope import RESEARCH_USE
from gliascope.classes import describe_classes
from gliascope.runtime import formats
from gliascope.splits.validation import describe_validation_use

if TYPE_CHECKING:
    from jinja2 import Environment

FILTERS = (
    describe_classes,
    formats.cell,
    formats.count,
    formats.data_uri,
    formats.day,
    formats.decimal,
    formats.duration,
    formats.fact,
    formats.p_value,
    formats.percent,
    formats.plural,
    formats.points,
    formats.span,
    describe_validation_use,
)


def render(template: str, **context: Any) -> str:
    """Render a template of this package. In HTML, every text in `context` that is no Markup is escaped.

    Raises
    ------
    ValueError
        If an image is neither PNG nor JPEG.
    """
    return _environment().get_template(template).render(notice=RESEARCH_USE, **context)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("gliascope.reports.pages"),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in FILTERS}
    environment.globals["many"] = formats.MAX_CLASS_COLUMNS
    environment.tests["map"] = lambda value: isinstance(value, Mapping)
    return environment
