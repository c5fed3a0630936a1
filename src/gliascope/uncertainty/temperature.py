"""Temperature scaling: logits are divided by one number, so that probabilities match observed frequencies."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TEMPERATURES = (0.05, 20.0)
"""The lowest and the highest temperature that can be fitted."""


def softmax(logits: NDArray[Any]) -> Floats:
    """Probabilities, float64 (n, classes), of logits (n, classes)."""
    exponent = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=1, keepdims=True))


def calibrated_probabilities(logits: NDArray[np.float32], temperature: float) -> Floats:
    """Probabilities, float64 (n, classes), of logits (n, classes) divided by a temperature.

    Prediction sets are calibrated and computed on these probabilities. Division in float32 could put the
    slice that determines the threshold on its other side.
    """
    return softmax(logits.astype(np.float64) / temperature)


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64], groups: int) -> float:
    """Fit the temperature by maximum likelihood, within TEMPERATURES.

    The target gives 1 / (groups + 2) to the wrong classes, by the rule of succession: a model that made no
    mistake in so many groups may still make one. Without that, such a model would be as sure as arithmetic
    allows.

    Parameters
    ----------
    logits : float32 (n, classes)
        Of slices that the model did not train on.
    labels : int64 (n,)
        The true class of each slice.
    groups : int
        How many groups (patients) the slices are of.

    Returns
    -------
    float
        The temperature. It changes no order of classes.

    References
    ----------
    Guo et al., ICML 2017.
    """
    from scipy.optimize import minimize_scalar

    scaled = logits.astype(np.float64)
    n, count = scaled.shape
    doubt = 1 / (groups + 2)
    target = np.full((n, count), doubt / (count - 1))
    target[np.arange(n), labels] = 1 - doubt

    def loss(log_temperature: float) -> float:
        divided = scaled / np.exp(log_temperature)
        return float(-(target * (divided - np.logaddexp.reduce(divided, axis=1, keepdims=True))).sum() / n)

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))
