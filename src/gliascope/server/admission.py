"""How many slices the server takes at once: beyond that it says so, instead of letting everybody wait."""

from gliascope.server.api_error import ApiError


class Admission:
    """A bounded number of places, one a slice from when it is taken until it is answered.

    capacity: places there are, or fewer where the engine would need more than half of so many seconds for
    all: as requests take turns, they would all end late together, and the work would be for nothing.
    For the event loop's thread alone, but for `answered`: it sets `pace`, seconds a slice, of late.
    """

    def __init__(self, capacity: int, seconds: float) -> None:
        self.capacity = capacity
        self.request_seconds = seconds
        self.admitted_slices = 0
        self.seconds_per_slice = 0.1  # rather slow, until the engine has shown how fast it is

    def new_request(self) -> "AdmittedRequest":
        """Nothing yet; give it back by leaving its `with` block."""
        return AdmittedRequest(self)

    def record_run(self, slices: int, seconds: float) -> None:
        """Let the pace follow what the engine does, over some twenty batches."""
        self.seconds_per_slice += 0.05 * (seconds / slices - self.seconds_per_slice)

    def has_room(self, slices: int, held: int) -> bool:
        """Whether one who holds some can have so many in all. Who is alone may try how long it takes."""
        others = self.admitted_slices - held
        used = others + slices
        return used <= self.capacity and (
            others == 0 or used * self.seconds_per_slice <= self.request_seconds / 2
        )

    @property
    def retry_after(self) -> int:
        """Seconds until about half of what is taken is answered."""
        return min(max(round(self.admitted_slices * self.seconds_per_slice / 2), 1), 60)


class AdmittedRequest:
    """The places of one request."""

    def __init__(self, places: Admission) -> None:
        self._places = places
        self._held = 0

    def __enter__(self) -> "AdmittedRequest":
        return self

    def __exit__(self, *_: object) -> None:
        self._places.admitted_slices -= self._held
        self._held = 0

    def reserve(self, slices: int) -> None:
        """Hold so many places in all. Raises Refusal: 413 beyond all there are, 503 beyond those free."""
        places, more = self._places, slices - self._held
        if slices > places.capacity:
            message = f"at most {places.capacity} slices are answered at once; send more to /v1/jobs"
            raise ApiError(413, "too_many_slices", message)
        if more > 0 and not places.has_room(slices, self._held):
            wait = places.retry_after
            message = f"the server has all the slices it can take; try again in {wait} s"
            raise ApiError(503, "busy", message, {"Retry-After": str(wait)})
        if more > 0:
            places.admitted_slices += more
            self._held = slices
