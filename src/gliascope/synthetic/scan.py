"""How a head is scanned and displayed: plane, field of view, sequence, noise, shading and display window."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.synthetic.shapes import Waves
from gliascope.synthetic.space import Array, Grid, Point, vector
from gliascope.synthetic.tissues import BRIGHTNESS, SEQUENCES, Tissue

# Directions of rows and columns, and the middle of the field of view. Axial and coronal slices show the
# patient's right on the left; sagittal ones look to either side.
_PLANES: tuple[tuple[Point, Point, Point], ...] = (
    ((0, -1, 0), (-1, 0, 0), (0, -14, 0)),
    ((0, 0, -1), (0, -1, 0), (0, -8, -18)),
    ((0, 0, -1), (0, 1, 0), (0, -8, -18)),
    ((0, 0, -1), (-1, 0, 0), (0, 0, -14)),
)
_PLANE_SHARES = (0.55, 0.15, 0.08, 0.22)
_SEQUENCE_SHARES = (0.08, 0.7, 0.09, 0.13)  # the public sets are mostly T1 with contrast agent


@dataclass(frozen=True, eq=False)
class Scan:
    """One patient's scan. Nothing in it depends on the label.

    Parameters
    ----------
    rows, columns
        float32 (3,): unit vectors in patient space.
    middle
        float32 (3,): centre of the field of view, mm.
    field_of_view
        Its width, mm.
    brightness
        float32: by `Tissue`, as a fraction of full scale.
    noise
        Standard deviation of the noise, in the unit of `brightness`.
    shading
        Uneven brightness, a fraction.
    gamma
        Exponent of the display.
    blur
        Standard deviation in pixels, of a slice of 240 x 240.
    """

    rows: Array
    columns: Array
    middle: Array
    field_of_view: float
    brightness: Array
    noise: float
    shading: Waves
    gamma: float
    blur: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Scan":
        """Draw a random scan."""
        rows, columns, middle = _PLANES[rng.choice(len(_PLANES), p=_PLANE_SHARES)]
        light = BRIGHTNESS[:, rng.choice(len(SEQUENCES), p=_SEQUENCE_SHARES)]
        light = light * rng.normal(1, 0.07, light.shape).astype(np.float32)
        brain = 0.5 * (light[Tissue.GREY] + light[Tissue.WHITE])
        level = rng.uniform(0.26, 0.5)
        return cls(
            rows=vector(rows),
            columns=vector(columns),
            middle=vector(middle + rng.normal(0, 4, 3)),
            field_of_view=rng.uniform(195, 245),
            brightness=(light * (level / brain)).astype(np.float32),
            noise=rng.uniform(0.02, 0.06) * level,
            shading=Waves.draw(rng, (250, 600), rng.uniform(0.03, 0.16), count=4),
            gamma=rng.uniform(0.9, 1.15),
            blur=rng.uniform(0.5, 1.0),
        )

    def through(self, point: Array, size: int) -> Grid:
        """Return the slice of `size` x `size` pixels in the scan's plane that contains `point` (3,)."""
        step = self.field_of_view / size
        normal = np.cross(self.rows, self.columns)
        middle = self.middle + normal * (normal @ (point - self.middle))
        corner = middle - (self.rows + self.columns) * (step * (size - 1) / 2)
        return Grid(corner.astype(np.float32), self.rows * step, self.columns * step, size, size)

    def acquire(self, image: Array, grid: Grid, rng: np.random.Generator) -> Array:
        """Return an image as the scanner measures it: blurred, shaded and with Rician noise.

        Parameters
        ----------
        image
            float32 (height, width): true brightness.
        grid
            Its pixels.
        rng
            Source of the noise.

        References
        ----------
        H. Gudbjartsson, S. Patz, "The Rician distribution of noisy MRI data", Magn. Reson. Med. 34 (1995)
        910-914.
        """
        from scipy.ndimage import gaussian_filter

        image = gaussian_filter(image, self.blur * grid.height / 240) * (1 + self.shading.on_grid(grid))
        real, imaginary = rng.standard_normal((2, *image.shape), np.float32) * np.float32(self.noise)
        result: Array = np.hypot(image + real, imaginary)
        return result

    def to_display(self, image: Array) -> NDArray[np.uint8]:
        """Return an image in a display window, uint8."""
        shown: Array = np.rint(255 * np.clip(image, 0, 1) ** np.float32(self.gamma))
        return shown.astype(np.uint8)
