"""Findings as a line of text, and as HTML for a notebook: the verdict comes first, with its meaning."""

from collections import Counter
from html import escape
from io import BytesIO

from PIL import Image

from gliascope import RESEARCH_USE
from gliascope.classes import NO_TUMOR
from gliascope.evaluation.aggregation import AGGREGATION_DESCRIPTION
from gliascope.inference.finding import Finding, StudyFinding
from gliascope.inference.overlay import draw_overlay
from gliascope.runtime.folders import printable
from gliascope.runtime.formats import count, data_uri, percent, plural
from gliascope.uncertainty.calibrator import ACCEPTED, OUT_OF_SCOPE, UNCERTAIN

MAX_STUDY_PICTURES = 6  # slices of a study that are shown
_SIDE = 224  # pixels of a picture on the page
_MEANINGS = {
    ACCEPTED: "the prediction set holds exactly one class, and the picture is like the training slices",
    UNCERTAIN: "the prediction set does not hold exactly one class",
    OUT_OF_SCOPE: "unlike the training slices: the probabilities below mean nothing",
}
_UNCHECKED = {
    False: "the model was not calibrated, so it is not known how far this can be relied on",
    True: "nothing was calibrated on studies, so it is not known how far this can be relied on",
}
_BAR = "display:inline-block;height:.7em;background:#3b82c4;vertical-align:middle"
_CELL = "border:0;padding:1px 8px 1px 0;text-align:left;background:none"


def finding_text(finding: Finding) -> str:
    """Describe a finding in one line."""
    where = _where(finding)
    if finding.notes:
        where += f"; {len(finding.notes)} {plural('note', len(finding.notes))}"
    return f"<Finding {_line(finding)}; {where}>"


def study_text(study: StudyFinding) -> str:
    """Describe a study's finding in one line."""
    slices = f"{count(len(study.slices))} {plural('slice', len(study.slices))}"
    excluded = f", {len(study.excluded)} excluded" if study.excluded else ""
    return f"<StudyFinding {_line(study)}; {slices}{excluded} of {_where(study)}>"


def finding_html(finding: Finding) -> str:
    """Render a finding with its picture, as one block of HTML without scripts or links."""
    body = [_picture(finding, _SIDE), f"<div>{_bars(finding)}{_facts(finding)}</div>"]
    return _block(finding, _MEANINGS.get(finding.verdict, _UNCHECKED[False]), "".join(body))


def study_html(study: StudyFinding) -> str:
    """Render a study's finding with the slices that look most like a tumour, as one block of HTML."""
    verdicts = Counter(finding.verdict for finding in study.slices)
    counts = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items())
    facts = [f"{count(len(study.slices))} {plural('slice', len(study.slices))}: {counts}"]
    if study.verdict != OUT_OF_SCOPE:
        facts.append(f"The probabilities are {AGGREGATION_DESCRIPTION}.")
    if excluded := study.excluded:
        first = printable(str(excluded[0]))
        facts.append(f"{len(excluded)} {plural('file', len(excluded))} excluded; the first: {first}")
    lines = "".join(f"<div>{escape(fact)}</div>" for fact in facts)
    pictures = "".join(_figure(one) for one in _most_like_a_tumour(study))
    body = f"<div>{_bars(study)}{lines}{_facts(study)}</div>"
    row = f'<div style="display:flex;flex-wrap:wrap;gap:8px">{pictures}</div>' if pictures else ""
    return _block(study, _MEANINGS.get(study.verdict, _UNCHECKED[True]), body + row)


def _headline(finding: Finding) -> str:
    """The verdict, followed by the class or classes that it allows to be named."""
    if finding.verdict == ACCEPTED:
        return f"{ACCEPTED}: {finding.label}"
    if finding.verdict == UNCERTAIN:
        return f"{UNCERTAIN}: {' or '.join(finding.prediction_set or ()) or 'no class fits'}"
    return finding.verdict


def _line(finding: Finding) -> str:
    """The headline, and the probability or outlier score that belongs to it."""
    if finding.verdict == OUT_OF_SCOPE:
        return f"{OUT_OF_SCOPE}: unlike the training slices (outlier score {finding.outlier_score:.2f})"
    number = f"{percent(finding.probabilities[finding.label], unit=False)} %"
    likeliest = "" if finding.verdict == ACCEPTED else f", likeliest {finding.label}"
    return f"{_headline(finding)}{likeliest} {number}"


def _where(finding: Finding) -> str:
    index = f", slice {finding.slice}" if finding.slice else ""
    return printable(str(finding.file)) + index


def _block(finding: Finding, meaning: str, body: str) -> str:
    headline = _headline(finding)
    return (
        '<div class="gliascope" style="font-family:sans-serif;line-height:1.4">'
        f'<div style="font-size:1.15em;font-weight:bold">{escape(headline[:1].upper() + headline[1:])}</div>'
        f"<div>{escape(meaning)}</div>"
        f'<div style="display:flex;flex-wrap:wrap;gap:16px;margin:8px 0">{body}</div>'
        f'<div style="font-size:.85em">{escape(RESEARCH_USE)}</div></div>'
    )


def _bars(finding: Finding) -> str:
    faint = ";opacity:.35" if finding.verdict == OUT_OF_SCOPE else ""
    rows = "".join(
        f'<tr style="background:none"><td style="{_CELL}">{escape(name)}</td>'
        f'<td style="{_CELL};width:10em"><span style="{_BAR};width:{100 * value:.1f}%"></span></td>'
        f'<td style="{_CELL}">{percent(value)}</td></tr>'
        for name, value in sorted(finding.probabilities.items(), key=lambda pair: -pair[1])
    )
    return f'<table style="border:0;border-collapse:collapse{faint}">{rows}</table>'


def _facts(finding: Finding) -> str:
    facts = []
    if finding.prediction_set is not None and finding.verdict != OUT_OF_SCOPE:
        facts.append(f"prediction set: {', '.join(finding.prediction_set) or 'empty'}")
    if finding.outlier_score is not None:
        facts.append(f"outlier score {finding.outlier_score:.2f}; past 1 is out of scope")
    if finding.kind:
        facts.append(f"{finding.kind}: it does not count in its study")
    facts += [f"note: {note}" for note in finding.notes]
    facts.append(_where(finding))
    return "".join(f'<div style="font-size:.9em">{escape(fact)}</div>' for fact in facts)


def _picture(finding: Finding, side: int) -> str:
    """The network's input as an image, tinted where it supports the class; empty without the pixels."""
    if finding.input_pixels is None:
        return ""
    image, what = Image.fromarray(finding.input_pixels), "the model's input"
    if finding.map is not None and finding.verdict != OUT_OF_SCOPE:
        height, width = finding.input_pixels.shape[:2]
        image = draw_overlay(finding.input_pixels, finding.map, (0, height, 0, width))
        what += f", tinted where it supports {finding.label}"
    content = BytesIO()
    image.save(content, "png")
    return (
        f'<img src="{data_uri(content.getvalue())}" width="{side}" height="{side}" alt="{escape(what)}" '
        f'title="{escape(what)}">'
    )


def _figure(finding: Finding) -> str:
    caption = escape(f"slice {finding.slice}: {_headline(finding)}")
    picture = _picture(finding, _SIDE // 2)
    return f'<figure style="margin:0">{picture}<figcaption>{caption}</figcaption></figure>'


def _most_like_a_tumour(study: StudyFinding) -> list[Finding]:
    """Choose the slices in scope that look most like a tumour; if none is in scope, the first slices."""
    shown = [one for one in study.slices if one.input_pixels is not None]
    inside = [one for one in shown if one.verdict != OUT_OF_SCOPE and one.kind is None]

    def likeness(finding: Finding) -> float:
        absent = finding.probabilities.get(NO_TUMOR)
        return max(finding.probabilities.values()) if absent is None else 1 - absent

    return sorted(inside, key=likeness, reverse=True)[:MAX_STUDY_PICTURES] or shown[:MAX_STUDY_PICTURES]
