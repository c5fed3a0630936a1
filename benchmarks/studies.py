"""What is said of whole volumes, by the way their slices are put together.

Phantom volumes (32 axial slices from neck to crown, of which a third at most shows the tumour) are told by
two models: one trained on slices that were picked for their tumour, as all public sets are; and a linear
probe on its features that has learned from every slice of other volumes. The first has never seen the ends
of a head. Beside them, the two volumes of tcia_progression, by the first.
"""

from pathlib import Path

import nibabel
import numpy as np

from benchmarks.measure import Row, gliascope
from gliascope.evaluation.aggregation import aggregate
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.studies import evaluate_studies
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine, Outputs
from gliascope.io import read
from gliascope.preprocessing.preprocess import preprocess
from gliascope.synthetic import LABELS, phantom_volume

VOLUMES = 12  # a class
FIRST = 900_000  # seeds, far from those that training has


def studies(data: Path, work: Path) -> list[Row]:
    gliascope("demo", "--out", work / "demo", cache=work / "cache")
    bundle = Bundle.load(work / "demo" / "bundle")
    told, labels = _volumes(bundle, work / "volume.nii")
    probabilities = np.stack([outputs.probabilities for outputs in told])
    learned = _probe(np.stack([outputs.ood_features["network"] for outputs in told]), labels)
    rows = _rows("model of picked slices", probabilities, labels, bundle.info.classes)
    rows += _rows("probe on whole volumes", learned, labels, bundle.info.classes)
    for patient in ("01", "02"):
        slices = _answers(bundle, data / "tcia_progression" / patient / "Pre_Scan_T1.nii.gz").probabilities
        said = aggregate(slices, bundle.info.classes)
        named = ", ".join(
            f"{name} {value:.2f}" for name, value in zip(bundle.info.classes, said, strict=True)
        )
        rows.append((f"studies: tcia_progression {patient} (glioma), model of picked slices", named, ""))
    return rows


def _volumes(bundle: Bundle, file: Path) -> tuple[list[Outputs], np.ndarray]:
    """Outputs for the slices of VOLUMES a class, and the slices' labels, (volumes, slices).

    Each goes through a file, as a user's does. A slice is of its volume's class where it shows the lesion.
    """
    classes = bundle.info.classes
    told, labels = [], []
    for number in range(VOLUMES):
        for label in LABELS:
            volume, mask, affine = phantom_volume(label, FIRST + number)
            nibabel.save(nibabel.Nifti1Image(volume, affine), file)
            told.append(_answers(bundle, file))
            shown = mask.any(axis=(0, 1))
            labels.append(np.where(shown, classes.index(label), classes.index("no_tumor")))
    return told, np.stack(labels)


def _answers(bundle: Bundle, file: Path) -> Outputs:
    engine = Engine(bundle)
    slices = np.stack([preprocess(item.pixels, bundle.info.preprocessing) for item in read(file)])
    return Outputs.concatenate([engine(slices[start : start + 8]) for start in range(0, len(slices), 8)])


def _probe(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What a logistic regression on one half of the volumes says of the other, (volumes, slices, classes)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Volumes are in order of class within each number: halves by number.
    half = np.arange(len(features)) // len(LABELS) % 2
    told = np.empty((*labels.shape, len(LABELS)))
    for number in (0, 1):
        learn, ask = half != number, half == number
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=1000))
        probe.fit(features[learn].reshape(-1, features.shape[2]), labels[learn].ravel())
        asked = features[ask].reshape(-1, features.shape[2])
        told[ask] = probe.predict_proba(asked).reshape(*labels[ask].shape, -1)
    return told


def _rows(name: str, told: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> list[Row]:
    volumes, slices = labels.shape
    names = [f"volume {number}" for number in range(volumes) for _ in range(slices)]
    scores = Scores(told.reshape(-1, len(classes)), labels.ravel(), np.array(names), classes)
    found = evaluate_studies(scores, names)
    assert found is not None
    rows = []
    for method, entry in found.methods.items():
        assert entry.tumor is not None
        numbers = dict(entry.tumor) | {"accuracy": entry.accuracy}
        text = ", ".join(
            f"{key} {one.value:.2f} ({one.low:.2f}-{one.high:.2f})" for key, one in numbers.items()
        )
        used = " (as predicted)" if method == found.aggregation else ""
        rows.append((f"studies: {volumes} phantom volumes, {name}, {method}{used}", text, ""))
    return rows
