"""Loss functions. A new loss is one function and one row of LOSSES.

Each function takes logits (n, classes), class numbers (n,) and the recipe's settings, and returns the loss of
each slice, (n,).
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from gliascope.errors import RecipeError
from gliascope.recipes import Loss


def cross_entropy(logits: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Softmax cross-entropy with label smoothing (Szegedy et al., Rethinking Inception, 2016)."""
    return functional.cross_entropy(logits, targets, reduction="none", label_smoothing=loss.label_smoothing)


def focal(logits: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Cross-entropy times (1 - p)^gamma, where p is the probability of the true class (Lin et al., 2017)."""
    truth = functional.softmax(logits, dim=1).gather(1, targets[:, None])[:, 0]
    weighted: Tensor = (1 - truth) ** loss.gamma * cross_entropy(logits, targets, loss)
    return weighted


def binary_cross_entropy(logits: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Logistic loss of the difference of two logits, as for a network that ends in one sigmoid neuron."""
    if logits.shape[1] != 2:
        raise RecipeError(
            f"binary_cross_entropy expected two classes but got {logits.shape[1]}; choose another loss"
        )
    smoothed = targets * (1 - loss.label_smoothing) + loss.label_smoothing / 2
    return functional.binary_cross_entropy_with_logits(
        logits[:, 1] - logits[:, 0], smoothed, reduction="none"
    )


LOSSES: dict[str, Callable[[Tensor, Tensor, Loss], Tensor]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "focal": focal,
}


class Criterion:
    """The loss that a recipe names, weighted by class where the recipe asks for it.

    Parameters
    ----------
    loss
        The recipe's.
    counts
        (classes,): number of training slices of each class. `class_weights` weighs a class by
        slices / (classes × count).

    Raises
    ------
    RecipeError
        For an unknown loss; the message lists the known ones.

    References
    ----------
    King & Zeng, Political Analysis 9:137, 2001, for the weights.
    """

    def __init__(self, loss: Loss, counts: Tensor) -> None:
        if loss.kind not in LOSSES:
            raise RecipeError(f"unknown loss {loss.kind!r}; choose from {', '.join(LOSSES)}")
        self.loss = loss
        self.weights = counts.sum() / (len(counts) * counts) if loss.class_weights else None

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each slice, (n,), from logits (n, classes) and class numbers (n,)."""
        losses = LOSSES[self.loss.kind](logits, targets, self.loss)
        return losses if self.weights is None else losses * self.weights[targets]


def mixup(inputs: Tensor, share: Tensor, other: Tensor) -> Tensor:
    """Mix each slice with another one of the batch; the loss has to be mixed with the same share.

    Parameters
    ----------
    inputs
        (n, …): network inputs or activations.
    share
        (): how much of each slice remains.
    other
        int64 (n,): position of the slice that gives the rest.

    References
    ----------
    Zhang et al., mixup, 2018; for activations, Verma et al., Manifold Mixup, 2019.
    """
    return inputs.lerp(inputs[other], (1 - share).to(inputs.dtype))
