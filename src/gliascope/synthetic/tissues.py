"""Tissues, and their brightness in four MRI sequences (arbitrary units; scalp fat on T1 is near 1)."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Tissue(IntEnum):
    """What a point of the head consists of. The value is a row of `BRIGHTNESS`."""

    NONE = 0
    AIR = 1
    CSF = 2
    GREY = 3
    WHITE = 4
    BONE = 5
    MARROW = 6
    FAT = 7
    MUSCLE = 8
    SKIN = 9
    DURA = 10
    VEIN = 11
    ARTERY = 12
    CHOROID = 13
    MUCOSA = 14
    VITREOUS = 15
    GLAND = 16
    # Lesions from here on.
    SOLID = 17
    ENHANCING = 18
    NECROSIS = 19
    OEDEMA = 20
    MENINGIOMA = 21
    ADENOMA = 22


SEQUENCES = ("T1", "T1 with contrast agent", "T2", "FLAIR")

BRIGHTNESS: NDArray[np.float32] = np.array(
    [  # T1, T1 with contrast agent, T2, FLAIR
        (0.02, 0.02, 0.02, 0.02),  # NONE
        (0.02, 0.02, 0.02, 0.02),  # AIR
        (0.17, 0.17, 0.96, 0.10),  # CSF
        (0.42, 0.43, 0.58, 0.55),  # GREY
        (0.58, 0.55, 0.40, 0.42),  # WHITE
        (0.06, 0.06, 0.06, 0.05),  # BONE
        (0.60, 0.62, 0.40, 0.34),  # MARROW
        (0.98, 0.98, 0.74, 0.62),  # FAT
        (0.36, 0.44, 0.22, 0.26),  # MUSCLE
        (0.58, 0.62, 0.40, 0.36),  # SKIN
        (0.28, 0.64, 0.20, 0.24),  # DURA
        (0.24, 0.92, 0.12, 0.18),  # VEIN
        (0.14, 0.86, 0.06, 0.08),  # ARTERY
        (0.38, 0.86, 0.78, 0.56),  # CHOROID
        (0.40, 0.60, 0.72, 0.58),  # MUCOSA
        (0.18, 0.18, 0.96, 0.14),  # VITREOUS
        (0.50, 0.82, 0.52, 0.52),  # GLAND
        (0.30, 0.31, 0.80, 0.84),  # SOLID
        (0.42, 0.88, 0.70, 0.78),  # ENHANCING
        (0.20, 0.20, 0.92, 0.42),  # NECROSIS
        (0.36, 0.36, 0.76, 0.80),  # OEDEMA
        (0.48, 0.90, 0.66, 0.72),  # MENINGIOMA
        (0.42, 0.72, 0.62, 0.62),  # ADENOMA
    ],
    dtype=np.float32,
)
