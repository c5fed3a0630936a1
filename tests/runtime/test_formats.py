import pytest

from gliascope.runtime.formats import (
    cell,
    day,
    decimal,
    duration,
    fact,
    p_value,
    percent,
    plural,
    points,
    span,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9931, "99.3"),
        (1.0, "100.0"),
        (0.99996, ">99.9"),
        (0.0, "0.0"),
        (0.0001, "<0.1"),
        (0.9994, "99.9"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_percent_never_rounds_to_perfect(value, text):
    assert percent(value, unit=False) == text


def test_percent_has_a_unit_that_does_not_break_off():
    assert percent(0.5) == "50.0\N{NARROW NO-BREAK SPACE}%"


def test_decimal_never_rounds_to_perfect():
    assert [decimal(value) for value in (0.99871, 0.99999, 1.0, 0.0, 0.00001)] == [
        *("0.9987", ">0.9999", "1.0000", "0.0000", "<0.0001")
    ]


def test_span_rounds_its_low_end_down():
    assert span({"value": 0.99, "low": 0.98699, "high": 0.9969}) == "98.6–99.7"
    assert span({"value": 0.99, "low": 0.987, "high": 1.0}) == "98.7–100.0"
    assert span({"value": 0.9, "low": 0.88888, "high": 0.91}, "decimal") == "0.8888–0.9100"
    assert span({"value": 0.9, "low": None, "high": None}) == ""


def test_a_cell_holds_no_markup():
    assert cell("a|b\n<script> & c") == "a\\|b &lt;script> &amp; c"


def test_dates_and_facts_are_words():
    assert day("2026-11-03T14:05:22+00:00") == "3 November 2026, 14:05 UTC"
    assert day("2026-11-03T14:05:22") == "3 November 2026, 14:05"
    assert day("yesterday") == "yesterday"
    assert [fact(value) for value in (True, False, None, 13_500_000, 0.25, "cpu", ["a", 1])] == [
        *("yes", "no", "–", "13,500,000", "0.25", "cpu", "a, 1")
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0042, "+0.4"), (-0.0042, "\N{MINUS SIGN}0.4"), (-0.0004, "+0.0"), (None, "–")]
)
def test_differences_are_points_with_their_sign(value, text):
    assert points(value) == text


def test_one_slice_two_slices():
    assert [plural("slice", number) for number in (0, 1, 2)] == ["slices", "slice", "slices"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (852.3, "14.2 min"), (7200, "2.0 h")]
)
def test_durations_have_the_unit_that_fits(seconds, text):
    assert duration(seconds).replace("\N{NARROW NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("p", "text"), [(0.8318, "0.832"), (1.0, "1.000"), (0.0004, "<0.001"), (0.0, "<0.001")]
)
def test_p_values_are_never_nothing(p, text):
    assert p_value(p) == text
