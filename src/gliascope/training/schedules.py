"""Learning rates as pure functions of the step, so that resuming needs no scheduler state."""

import math


def warmup_cosine(step: int, steps: int, warmup: float) -> float:
    """Factor on the peak rate: a linear rise over the first `warmup` fraction, then a half cosine to 0.

    Loshchilov & Hutter, SGDR, 2017, without restarts.
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2
