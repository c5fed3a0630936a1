"""How many slices the server takes at once: beyond that it says so, instead of letting everybody wait."""

from gliascope.server.refusal import Refusal


class Admission:
    """A bounded number of places, one a slice from when it is taken until it is answered.

    capacity: places there are, or fewer where the engine would need more than half of so many seconds for
    all: as requests take turns, they would all end late together, and the work would be for nothing.
    For the event loop's thread alone, but for `answered`: it sets `pace`, seconds a slice, of late.
    """

    def __init__(self, capacity: int, seconds: float) -> None:
        self.capacity = capacity
        self.seconds = seconds
        self.used = 0
        self.pace = 0.1  # rather slow, until the engine has shown how fast it is

    def hold(self) -> "AdmittedRequest":
        """Nothing yet; give it back by leaving its `with` block."""
        return AdmittedRequest(self)

    def answered(self, slices: int, seconds: float) -> None:
        """Let the pace follow what the engine does, over some twenty batches."""
        self.pace += 0.05 * (seconds / slices - self.pace)

    def room_for(self, slices: int, held: int) -> bool:
        """Whether one who holds some can have so many in all. Who is alone may try how long it takes."""
        others = self.used - held
        used = others + slices
        return used <= self.capacity and (others == 0 or used * self.pace <= self.seconds / 2)

    @property
    def retry_after(self) -> int:
        """Seconds until about half of what is taken is answered."""
        return min(max(round(self.used * self.pace / 2), 1), 60)


class AdmittedRequest:
    """The places of one request."""

    def __init__(self, places: Admission) -> None:
        self._places = places
        self._held = 0

    def __enter__(self) -> "AdmittedRequest":
        return self

    def __exit__(self, *_: object) -> None:
        self._places.used -= self._held
        self._held = 0

    def reach(self, slices: int) -> None:
        """Hold so many places in all. Raises Refusal: 413 beyond all there are, 503 beyond those free."""
        places, more = self._places, slices - self._held
        if slices > places.capacity:
            message = f"at most {places.capacity} slices are answered at once; send more to /v1/jobs"
            raise Refusal(413, "too_many_slices", message)
        if more > 0 and not places.room_for(slices, self._held):
            wait = places.retry_after
            message = f"the server has all the slices it can take; try again in {wait} s"
            raise Refusal(503, "busy", message, {"Retry-After": str(wait)})
        if more > 0:
            places.used += more
            self._held = slices
