"""Random changes of intensity, each slice its own: what scanners, patients and windows do to a picture.

Each takes images (n, channels, size, size) in units of white, its own random numbers (n, k) in [0, 1), and
the recipe's value, and returns images of the same shape, which may go beyond white. Channels share a change.
"""

from collections.abc import Callable

import torch
from torch import Tensor

BIAS_ORDER = 3
# Powers of x and y. A constant would only be brightness.
BIAS_TERMS = [(i, j) for i in range(BIAS_ORDER + 1) for j in range(BIAS_ORDER + 1) if 0 < i + j <= BIAS_ORDER]


def smooth_field(coefficients: Tensor, basis: Tensor) -> Tensor:
    """Field Σ c_ij b_i(y) b_j(x): coefficients (…, k, k) and basis (k, size) to (…, size, size)."""
    return basis.mT @ coefficients @ basis


def _each(values: Tensor) -> Tensor:
    """A number a slice, (n,), to be broadcast over (n, channels, size, size)."""
    return values[:, None, None, None]


def _either_way(uniform: Tensor, greatest: float) -> Tensor:
    return _each((2 * uniform[:, 0] - 1) * greatest)


def bias_field(images: Tensor, uniform: Tensor, greatest: float) -> Tensor:
    """Times the exponential of a random cubic polynomial of the place (Van Leemput et al., 1999).

    As TorchIO's RandomBiasField, places from -1 to 1, but the polynomial's mean over the picture is
    subtracted, so that brightness stays what it is.
    """
    size = images.shape[-1]
    place = (2 * torch.arange(size, device=images.device) + 1) / size - 1
    coefficients = uniform.new_zeros(len(uniform), BIAS_ORDER + 1, BIAS_ORDER + 1)
    for column, (i, j) in enumerate(BIAS_TERMS):
        coefficients[:, i, j] = (2 * uniform[:, column] - 1) * greatest
    powers = torch.stack([place**power for power in range(BIAS_ORDER + 1)])
    field = smooth_field(coefficients, powers)
    return images * (field - field.mean((1, 2), keepdim=True)).exp()[:, None]


def gamma(images: Tensor, uniform: Tensor, greatest: float) -> Tensor:
    """To the power of exp(u), u uniform up to `greatest` either way, as TorchIO's RandomGamma."""
    return images ** _either_way(uniform, greatest).exp()


def contrast(images: Tensor, uniform: Tensor, greatest: float) -> Tensor:
    """The distance to the slice's mean times a factor around 1, as torchvision's ColorJitter."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return (mean + (images - mean) * (1 + _either_way(uniform, greatest))).clamp(min=0)


def brightness(images: Tensor, uniform: Tensor, greatest: float) -> Tensor:
    """Times a factor around 1."""
    return images * (1 + _either_way(uniform, greatest))


def ghost(images: Tensor, uniform: Tensor, greatest: float) -> Tensor:
    """Ghosts of a periodic motion along the phase-encoding axis, which is drawn.

    A motion of N periods in the acquisition modulates the lines of k-space: S'(k) = S(k) (1 + a cos(2π k d /
    size + φ)), d = size / N. In the picture those are two copies, d apart on either side, wrapped around as
    the field of view does, and the magnitude is what is shown:
    I'(x) = |I(x) + a/2 (e^iφ I(x + d) + e^-iφ I(x - d))|. N is 2 to 10, a up to `greatest`, φ anything.
    """
    size = images.shape[-1]
    half = _each(uniform[:, 0]) * (greatest / 2)
    distance = (size / (2 + 8 * uniform[:, 2])).round().long()
    down = torch.where(uniform[:, 1] < 0.5, distance, 0)
    right = distance - down
    phase = _each(uniform[:, 3]) * (2 * torch.pi)
    ahead, behind = _rolled(images, down, right), _rolled(images, -down, -right)
    real = images + half * phase.cos() * (ahead + behind)
    return torch.hypot(real, half * phase.sin() * (ahead - behind))


def _rolled(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each image read `down` and `right` pixels further, (n,), around the border."""
    n, channels, height, width = (torch.arange(length, device=images.device) for length in images.shape)
    y = (height + down[:, None]) % len(height)
    x = (width + right[:, None]) % len(width)
    return images[n[:, None, None, None], channels[:, None, None], y[:, None, :, None], x[:, None, None, :]]


def noise(images: Tensor, uniform: Tensor, greatest: float) -> Tensor:
    """Plus Gaussian noise of a standard deviation up to `greatest`.

    Box and Muller's, of two hashes of a slice's own number and the pixel's place: neither the batch nor the
    kind of device plays a part.
    """
    places = torch.arange(images[0, 0].numel(), device=images.device).view(images.shape[2:])
    keys = _hash(_each((uniform[:, 1] * (1 << 24)).long())) + 2 * places
    first, second = ((_hash(keys + half) + 0.5) / (1 << 32) for half in (0, 1))
    values = (-2 * first.log()).sqrt() * (2 * torch.pi * second).cos()
    return images + values * _each(uniform[:, 0] * greatest)


def _hash(keys: Tensor) -> Tensor:
    """32 bits of each, as int64: Wellons' lowbias32 (2018)."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        keys = ((keys ^ (keys >> shift)) * factor) & 0xFFFFFFFF
    return keys ^ (keys >> 16)


# In the order in which they are applied, that of Augmentation's fields.
INTENSITY_CHANGES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    change.__name__: change for change in (bias_field, gamma, contrast, brightness, ghost, noise)
}
