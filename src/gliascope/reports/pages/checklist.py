"""How a report answers the items of CLAIM 2024."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gliascope.reports.pages.claim import ITEMS, SECTIONS, Item
from gliascope.reports.report import Report

MET, IN_PART, FOR_YOU, NOT_APPLICABLE = "met", "in part", "for you to fill in", "does not apply"
STATES = (MET, IN_PART, FOR_YOU, NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Answer:
    """An item and how a report answers it. places: title by id of the sections to look at."""

    item: Item
    state: str
    places: Mapping[str, str]

    @property
    def ask(self) -> str:
        """What the user has to add; empty where that is nothing."""
        return {FOR_YOU: self.item.ask, IN_PART: self.item.left}.get(self.state, "")


def answers(report: Report) -> list[Answer]:
    """The 44 items in their order."""
    return [_answer(item, report) for item in ITEMS]


def counts(found: Sequence[Answer]) -> dict[str, int]:
    """How many items are in each of STATES."""
    return {state: sum(answer.state == state for answer in found) for state in STATES}


def _answer(item: Item, report: Report) -> Answer:
    shown = {place: SECTIONS[place][0] for place in item.where if SECTIONS[place][1](report)}
    if shown and item.needs(report):
        return Answer(item, IN_PART if item.left else MET, shown)
    exempt = item.exempt is not None and item.exempt(report)
    return Answer(item, NOT_APPLICABLE if exempt else FOR_YOU, {})
