"""The folder that examples of docstrings and pages are run in: results with a bundle, two pictures, a study."""

from pathlib import Path

import numpy as np
import pydicom
from making import Make
from quadrants import quadrant_bundle
from tiny import slice_image


def write(folder: Path) -> Path:
    quadrant_bundle().write(folder / "results" / "bundle", "# Model card: quadrants\n")
    quadrant_bundle().write(folder / "results" / "run" / "model")
    slice_image(0, 7).save(folder / "scan.png")
    slice_image(3, 7).save(folder / "other.png")
    (folder / "study").mkdir()
    make, study, series = Make(folder / "study"), pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    for label in (0, 2, 2, 2):
        pixels = np.asarray(slice_image(label, make.count))
        uids = {
            "StudyInstanceUID": study,
            "SeriesInstanceUID": series,
            "SOPInstanceUID": pydicom.uid.generate_uid(),
        }
        make.dicom(pixels, **uids)
    return folder
