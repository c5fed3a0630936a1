"""Admission control: a bound on the slices that requests have in the server at one time.

A request beyond the bound is refused at once (503, Retry-After), so that admitted requests end in time.
"""

from gliascope.server.api_error import ApiError


class Admission:
    """Counter of the slices that are admitted and not yet answered.

    Slices of several requests are admitted only if the engine predicts all of them within half of the time
    limit of a request. Requests share the engine in turns, so with more slices all of them would time out.

    All methods but `record_run` are for the event loop's thread only.

    Parameters
    ----------
    capacity
        Most slices that are admitted at one time.
    request_seconds
        Time limit of a request.

    Attributes
    ----------
    admitted_slices
        Slices that requests hold now.
    seconds_per_slice
        Running average of the engine's time for one slice.
    """

    def __init__(self, capacity: int, request_seconds: float) -> None:
        self.capacity = capacity
        self.request_seconds = request_seconds
        self.admitted_slices = 0
        self.seconds_per_slice = 0.1  # a slow start value, until the first runs are recorded

    def new_request(self) -> "AdmittedRequest":
        """Make a request that holds no slices yet. It gives back what it holds when its `with` block ends."""
        return AdmittedRequest(self)

    def record_run(self, slices: int, seconds: float) -> None:
        """Add a run of the engine to the running average, in which about twenty runs count."""
        self.seconds_per_slice += 0.05 * (seconds / slices - self.seconds_per_slice)

    def has_room(self, slices: int, held: int) -> bool:
        """Whether a request can be admitted with this many slices in all.

        A request that is alone is refused for its number of slices only, not for the time they take.

        Parameters
        ----------
        slices
            Slices of the request in all.
        held
            Slices that the request holds already.
        """
        others = self.admitted_slices - held
        total = others + slices
        in_time = total * self.seconds_per_slice <= self.request_seconds / 2
        return total <= self.capacity and (others == 0 or in_time)

    @property
    def retry_after(self) -> int:
        """Seconds until about half of the admitted slices are answered, from 1 to 60."""
        return min(max(round(self.admitted_slices * self.seconds_per_slice / 2), 1), 60)


class AdmittedRequest:
    """The slices that one request holds of an `Admission`; a context manager that gives them back."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._held = 0

    def __enter__(self) -> "AdmittedRequest":
        return self

    def __exit__(self, *_: object) -> None:
        self._admission.admitted_slices -= self._held
        self._held = 0

    def reserve(self, slices: int) -> None:
        """Hold this many slices in all; a number below the slices already held changes nothing.

        Raises
        ------
        ApiError
            413 for more slices than the server admits at all, 503 for more than it can admit now.
        """
        admission, more = self._admission, slices - self._held
        if slices > admission.capacity:
            message = f"at most {admission.capacity} slices are answered at once; send more to /v1/jobs"
            raise ApiError(413, "too_many_slices", message)
        if more > 0 and not admission.has_room(slices, self._held):
            wait = admission.retry_after
            message = f"the server has all the slices it can take; try again in {wait} s"
            raise ApiError(503, "busy", message, {"Retry-After": str(wait)})
        if more > 0:
            admission.admitted_slices += more
            self._held = slices
