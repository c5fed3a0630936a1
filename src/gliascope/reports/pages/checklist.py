"""Which items of CLAIM 2024 a report meets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gliascope.reports.pages.claim import ITEMS, SECTIONS, Item
from gliascope.reports.report import Report

MET, IN_PART, FOR_YOU, NOT_APPLICABLE = "met", "in part", "for you to fill in", "does not apply"
STATES = (MET, IN_PART, FOR_YOU, NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """An item, and whether a report meets it.

    Attributes
    ----------
    item
        The item of CLAIM 2024.
    state
        One of STATES.
    sections
        Sections of the report that meet it: title by id.
    """

    item: Item
    state: str
    sections: Mapping[str, str]

    @property
    def to_add(self) -> str:
        """What the user has to add; empty where nothing is missing."""
        return {FOR_YOU: self.item.to_add, IN_PART: self.item.remaining}.get(self.state, "")


def check_items(report: Report) -> list[ItemResult]:
    """Check the 44 items, in their order."""
    return [_answer(item, report) for item in ITEMS]


def count_states(answers: Sequence[ItemResult]) -> dict[str, int]:
    """Count the items in each of STATES."""
    return {state: sum(answer.state == state for answer in answers) for state in STATES}


def _answer(item: Item, report: Report) -> ItemResult:
    shown = {place: SECTIONS[place][0] for place in item.sections if SECTIONS[place][1](report)}
    if shown and item.condition(report):
        return ItemResult(item, IN_PART if item.remaining else MET, shown)
    exempt = item.not_applicable is not None and item.not_applicable(report)
    return ItemResult(item, NOT_APPLICABLE if exempt else FOR_YOU, {})
