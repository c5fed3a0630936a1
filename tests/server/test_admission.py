import pytest

from gliascope.server.admission import Admission
from gliascope.server.refusal import Refusal


def test_places_are_held_and_given_back() -> None:
    places = Admission(10, 60)
    with places.hold() as one, places.hold() as other:
        one.reach(4)
        one.reach(2)  # holds them already
        other.reach(6)
        assert places.used == 10
        with pytest.raises(Refusal) as refused, places.hold() as third:
            third.reach(1)
        assert (refused.value.status, refused.value.code) == (503, "busy")
        assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
    assert places.used == 0


def test_more_than_there_ever_will_be_is_for_jobs() -> None:
    with (
        pytest.raises(Refusal, match=r"at most 10 slices .*/v1/jobs") as refused,
        Admission(10, 60).hold() as hold,
    ):
        hold.reach(11)
    assert (refused.value.status, refused.value.code) == (413, "too_many_slices")


def test_when_to_come_back_follows_the_engines_pace() -> None:
    places = Admission(100, 60)
    with places.hold() as hold:
        hold.reach(100)
        for _ in range(200):
            places.answered(10, 5.0)
        assert places.retry_after == 25  # half of a hundred slices at half a second


def test_nobody_is_taken_who_could_not_be_answered_in_time() -> None:
    places = Admission(1000, 120)
    for _ in range(200):
        places.answered(10, 5.0)  # half a second each
    with places.hold() as one, places.hold() as other:
        one.reach(100)
        with pytest.raises(Refusal) as refused:
            other.reach(21)
        assert (refused.value.status, places.used) == (503, 100)
    with places.hold() as alone:
        alone.reach(100)
        alone.reach(200)
    with places.hold() as one, places.hold() as other:
        one.reach(100)
        other.reach(20)
