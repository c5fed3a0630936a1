"""Random changes of intensity, different for each slice: what scanners, patients and windows do to a picture.

Each function takes images (n, channels, size, size), whose white is 1; its own random numbers `uniform`,
(n, k) in [0, 1); and `limit`, the recipe's value. It returns images of the same shape, which may exceed 1.
All channels of a slice change alike.
"""

from collections.abc import Callable

import torch
from torch import Tensor

BIAS_ORDER = 3
# Powers of y and x of the polynomial. There is no constant term, which would only change the brightness.
BIAS_TERMS = [(i, j) for i in range(BIAS_ORDER + 1) for j in range(BIAS_ORDER + 1) if 0 < i + j <= BIAS_ORDER]


def smooth_field(coefficients: Tensor, basis: Tensor) -> Tensor:
    """Evaluate Σ c_ij b_i(y) b_j(x): coefficients (…, k, k) and basis (k, size) to (…, size, size)."""
    return basis.mT @ coefficients @ basis


def _each(values: Tensor) -> Tensor:
    """Reshape one number a slice, (n,), for broadcasting over (n, channels, size, size)."""
    return values[:, None, None, None]


def _either_way(uniform: Tensor, limit: float) -> Tensor:
    """One number a slice, uniform in [-limit, limit]."""
    return _each((2 * uniform[:, 0] - 1) * limit)


def bias_field(images: Tensor, uniform: Tensor, limit: float) -> Tensor:
    """Multiply by the exponential of a random cubic polynomial in x and y, each from -1 to 1.

    This is TorchIO's RandomBiasField, except that the polynomial's mean over the picture is subtracted, so
    that the brightness stays as it is.

    References
    ----------
    Van Leemput et al., IEEE Trans. Med. Imaging 18:885, 1999.
    """
    size = images.shape[-1]
    position = (2 * torch.arange(size, device=images.device) + 1) / size - 1
    coefficients = uniform.new_zeros(len(uniform), BIAS_ORDER + 1, BIAS_ORDER + 1)
    for column, (i, j) in enumerate(BIAS_TERMS):
        coefficients[:, i, j] = (2 * uniform[:, column] - 1) * limit
    powers = torch.stack([position**power for power in range(BIAS_ORDER + 1)])
    field = smooth_field(coefficients, powers)
    return images * (field - field.mean((1, 2), keepdim=True)).exp()[:, None]


def gamma(images: Tensor, uniform: Tensor, limit: float) -> Tensor:
    """Raise to the power exp(u), u uniform in [-limit, limit], as TorchIO's RandomGamma does."""
    return images ** _either_way(uniform, limit).exp()


def contrast(images: Tensor, uniform: Tensor, limit: float) -> Tensor:
    """Multiply the difference from the slice's mean by 1 + u, u uniform in [-limit, limit] (ColorJitter)."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return (mean + (images - mean) * (1 + _either_way(uniform, limit))).clamp(min=0)


def brightness(images: Tensor, uniform: Tensor, limit: float) -> Tensor:
    """Multiply by 1 + u, u uniform in [-limit, limit]."""
    return images * (1 + _either_way(uniform, limit))


def ghost(images: Tensor, uniform: Tensor, limit: float) -> Tensor:
    """Add the ghosts of a periodic motion along the phase-encoding axis, which is random.

    A motion of N periods during the acquisition modulates the lines of k-space:
    S'(k) = S(k) (1 + a cos(2π k d / size + φ)), where d = size / N. In the picture this adds two copies,
    displaced by d in both directions and wrapped around at the borders, and the magnitude is shown:
    I'(x) = |I(x) + a/2 (e^iφ I(x + d) + e^-iφ I(x - d))|. N is uniform in [2, 10], a in [0, limit], φ in
    [0, 2π].
    """
    size = images.shape[-1]
    half = _each(uniform[:, 0]) * (limit / 2)
    distance = (size / (2 + 8 * uniform[:, 2])).round().long()
    down = torch.where(uniform[:, 1] < 0.5, distance, 0)
    right = distance - down
    phase = _each(uniform[:, 3]) * (2 * torch.pi)
    ahead, behind = _rolled(images, down, right), _rolled(images, -down, -right)
    real = images + half * phase.cos() * (ahead + behind)
    return torch.hypot(real, half * phase.sin() * (ahead - behind))


def _rolled(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Shift each image by its own `down` and `right` pixels, both (n,), wrapping around at the borders."""
    n, channels, height, width = (torch.arange(length, device=images.device) for length in images.shape)
    y = (height + down[:, None]) % len(height)
    x = (width + right[:, None]) % len(width)
    return images[n[:, None, None, None], channels[:, None, None], y[:, None, :, None], x[:, None, None, :]]


def noise(images: Tensor, uniform: Tensor, limit: float) -> Tensor:
    """Add Gaussian noise of a standard deviation uniform in [0, limit].

    The noise is the Box-Muller transform of two hashes of the slice's random number and the pixel's index, so
    that it depends on neither the batch nor the kind of device.
    """
    indices = torch.arange(images[0, 0].numel(), device=images.device).view(images.shape[2:])
    keys = _hash(_each((uniform[:, 1] * (1 << 24)).long())) + 2 * indices
    first, second = ((_hash(keys + half) + 0.5) / (1 << 32) for half in (0, 1))
    values = (-2 * first.log()).sqrt() * (2 * torch.pi * second).cos()
    return images + values * _each(uniform[:, 0] * limit)


def _hash(keys: Tensor) -> Tensor:
    """Hash integers to 32 bits each, held in int64, by Wellons' lowbias32 (2018)."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        keys = ((keys ^ (keys >> shift)) * factor) & 0xFFFFFFFF
    return keys ^ (keys >> 16)


# In the order in which they are applied, which is that of Augmentation's fields.
INTENSITY_CHANGES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    change.__name__: change for change in (bias_field, gamma, contrast, brightness, ghost, noise)
}
