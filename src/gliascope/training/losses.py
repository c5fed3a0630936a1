"""What training minimises. A new loss is one function and one row of LOSSES."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from gliascope.errors import RecipeError
from gliascope.recipes import Loss


def cross_entropy(logits: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Softmax cross-entropy with label smoothing (Szegedy et al., Rethinking Inception, 2016)."""
    return functional.cross_entropy(logits, targets, reduction="none", label_smoothing=loss.label_smoothing)


def focal(logits: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Cross-entropy times (1 - p)^gamma, p being the probability of the truth (Lin et al., 2017)."""
    truth = functional.softmax(logits, dim=1).gather(1, targets[:, None])[:, 0]
    weighted: Tensor = (1 - truth) ** loss.gamma * cross_entropy(logits, targets, loss)
    return weighted


def binary_cross_entropy(logits: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Logistic loss of the difference of two logits; what one sigmoid neuron is trained with."""
    if logits.shape[1] != 2:
        raise RecipeError(f"binary_cross_entropy expected two classes but got {logits.shape[1]}")
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
    """Loss of each slice, (n,), from logits (n, classes) and class numbers (n,).

    `counts` are the training slices of each class, for `class_weights`: slices / (classes × count), the
    "balanced" weights of King & Zeng, 2001. Raises RecipeError for an unknown kind, listing the choices.
    """

    def __init__(self, loss: Loss, counts: Tensor) -> None:
        if loss.kind not in LOSSES:
            raise RecipeError(f"unknown loss {loss.kind!r}; choose from {', '.join(LOSSES)}")
        self.loss = loss
        self.weights = counts.sum() / (len(counts) * counts) if loss.class_weights else None

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Weighted as the recipe says; the mean over a balanced set is that of the plain loss."""
        losses = LOSSES[self.loss.kind](logits, targets, self.loss)
        return losses if self.weights is None else losses * self.weights[targets]


def mixup(inputs: Tensor, share: Tensor, other: Tensor) -> Tensor:
    """Each slice with `share` (0-D) of itself and the rest of the slice at `other` (n,).

    The loss is mixed alike (Zhang et al., mixup, 2018; of activations: Verma et al., Manifold Mixup, 2019).
    """
    return inputs.lerp(inputs[other], (1 - share).to(inputs.dtype))
