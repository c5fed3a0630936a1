"""Synthetic brain slices for demonstrations and tests. No patient, no real image: every one is computed.

The anatomy is bent out of the ICBM 152 average brain. Lesions grow where, and look as, their class does;
plane, sequence, brightness, noise and field of view are drawn without regard to the class.
"""

from gliascope.synthetic.patient import LABELS, Patient, Phantom, Volume
from gliascope.synthetic.write import SOURCE, write_phantoms

__all__ = ["LABELS", "SOURCE", "Phantom", "phantom", "phantom_volume", "write_phantoms"]


def phantom(label: str, seed: int, size: int = 240) -> Phantom:
    """One slice; the same arguments give the same bytes. Raises ValueError for an unknown label."""
    return Patient.draw(label, seed).slices(1, size)[0]


def phantom_volume(label: str, seed: int) -> Volume:
    """Axial slices of the patient that `phantom(label, seed)` shows: volume, lesion mask, affine.

    volume: float32 (192, 192, 32), x to the right, y to the front, z up. mask: bool of the same shape.
    affine: float64 (4, 4), voxel indices to mm (RAS+), as NIfTI wants it. Some slices show no lesion.
    """
    return Patient.draw(label, seed).volume()
