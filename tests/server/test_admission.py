import pytest

from gliascope.server.admission import Admission
from gliascope.server.api_error import ApiError


def test_places_are_held_and_given_back() -> None:
    places = Admission(10, 60)
    with places.new_request() as one, places.new_request() as other:
        one.reserve(4)
        one.reserve(2)  # holds them already
        other.reserve(6)
        assert places.admitted_slices == 10
        with pytest.raises(ApiError) as refused, places.new_request() as third:
            third.reserve(1)
        assert (refused.value.status, refused.value.code) == (503, "busy")
        assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
    assert places.admitted_slices == 0


def test_more_than_there_ever_will_be_is_for_jobs() -> None:
    with (
        pytest.raises(ApiError, match=r"at most 10 slices .*/v1/jobs") as refused,
        Admission(10, 60).new_request() as hold,
    ):
        hold.reserve(11)
    assert (refused.value.status, refused.value.code) == (413, "too_many_slices")


def test_when_to_come_back_follows_the_engines_pace() -> None:
    places = Admission(100, 60)
    with places.new_request() as hold:
        hold.reserve(100)
        for _ in range(200):
            places.record_run(10, 5.0)
        assert places.retry_after == 25  # half of a hundred slices at half a second


def test_nobody_is_taken_who_could_not_be_answered_in_time() -> None:
    places = Admission(1000, 120)
    for _ in range(200):
        places.record_run(10, 5.0)  # half a second each
    with places.new_request() as one, places.new_request() as other:
        one.reserve(100)
        with pytest.raises(ApiError) as refused:
            other.reserve(21)
        assert (refused.value.status, places.admitted_slices) == (503, 100)
    with places.new_request() as alone:
        alone.reserve(100)
        alone.reserve(200)
    with places.new_request() as one, places.new_request() as other:
        one.reserve(100)
        other.reserve(20)
