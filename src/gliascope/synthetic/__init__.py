"""Synthetic brain slices for demonstrations and tests. They are computed and show no patient.

The anatomy is a deformed ICBM 152 average brain. Each class of lesion has its typical site and appearance;
plane, sequence, brightness, noise and field of view are drawn independently of the class.
"""

from gliascope.synthetic.patient import LABELS, Patient, Phantom, Volume
from gliascope.synthetic.write import SOURCE, write_phantoms

__all__ = ["LABELS", "SOURCE", "Phantom", "phantom", "phantom_volume", "write_phantoms"]


def phantom(label: str, seed: int, size: int = 240) -> Phantom:
    """Make one synthetic slice; the same arguments give the same pixels.

    Parameters
    ----------
    label
        One of `LABELS`.
    seed
        Number of the simulated patient.
    size
        Rows and columns.

    Raises
    ------
    ValueError
        If the label is unknown.
    """
    return Patient.draw(label, seed).slices(1, size)[0]


def phantom_volume(label: str, seed: int) -> Volume:
    """Make axial slices of the patient that `phantom(label, seed)` shows. Some of them show no lesion.

    Parameters
    ----------
    label
        One of `LABELS`.
    seed
        Number of the simulated patient.

    Returns
    -------
    volume
        float32 (192, 192, 32): x to the right, y to the front, z up.
    mask
        bool of the same shape: the lesion.
    affine
        float64 (4, 4): from voxel indices to mm (RAS+), as NIfTI wants it.
    """
    return Patient.draw(label, seed).volume()
