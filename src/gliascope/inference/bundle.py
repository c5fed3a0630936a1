"""The Bundle: a trained model as one folder or .zip file, with all that it takes to use the model."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from gliascope import RESEARCH_USE
from gliascope.errors import BundleError, first_error
from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.inference.bundle_files import read_bundle_files
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.runtime.files import ZIP_ERRORS, atomic_folder
from gliascope.uncertainty.calibrator import Calibrator, CalibratorInfo

FORMAT = 6
BUNDLE_FILES = ("bundle.json", "model.onnx", "calibrator.npz")
CARD = "MODEL_CARD.md"


class HeadlineMetrics(FrozenModel):
    """A model's performance on the test slices of one protocol, as its bundle records it."""

    leaky: bool
    n: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_auroc: Estimate
    ece: Estimate
    brier: Estimate


class BundleInfo(BaseModel):
    """The content of bundle.json, except for the checksum of these fields that `Bundle.write` adds.

    Attributes
    ----------
    format : int
        Version of the file format.
    recipe : str
        Name of the recipe that the model was trained by.
    classes : tuple of str
        In the order of the logits.
    preprocessing : Preprocessing
        How a slice becomes the graph's input.
    tta : dict
        The test-time views that the graph averages, as in the recipe.
    activation_maps : bool
        Whether the graph has class activation maps among its outputs.
    parameters : int
        Number of the network's parameters.
    model_sha256, calibrator_sha256 : str
        Checksums of model.onnx and calibrator.npz.
    versions : dict of str to str
        Packages that the model was made with.
    licences : dict of str to str
        Of the weights and of Gliascope.
    calibrator : CalibratorInfo or None
        None where nothing was calibrated: findings are then `unchecked`.
    metrics : dict of str to HeadlineMetrics
        By protocol.
    """

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    recipe: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    tta: dict[str, Any]
    activation_maps: bool
    parameters: int
    model_sha256: str
    versions: dict[str, str]
    licences: dict[str, str]
    research_use: str = RESEARCH_USE
    calibrator: CalibratorInfo | None = None
    calibrator_sha256: str | None = None
    metrics: dict[str, HeadlineMetrics] = {}

    @field_validator("classes")
    @classmethod
    def _check_classes(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(classes) < 2 or len(set(classes)) < len(classes) or not all(name.strip() for name in classes):
            raise ValueError("expected at least two classes, and names that are neither empty nor repeated")
        return classes


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model that is ready to deploy, in memory.

    Checksums cover all files but MODEL_CARD.md, which people may edit. They reveal accidental changes, not
    deliberate ones, since anyone can compute them again.

    Attributes
    ----------
    info : BundleInfo
        The content of bundle.json.
    model : bytes
        The ONNX graph. Input: uint8 pixels. Outputs: logits, features and, with some heads, class activation
        maps.
    arrays : bytes
        The arrays of the Calibrator, as calibrator.npz; empty without one.
    """

    info: BundleInfo
    model: bytes
    arrays: bytes = b""

    @property
    def calibrator(self) -> Calibrator | None:
        """What makes probabilities, prediction sets and verdicts; None where the model was not calibrated."""
        info = self.info.calibrator
        return None if info is None else Calibrator.from_bytes(info, self.arrays)

    def with_calibrator(self, calibrator: Calibrator) -> "Bundle":
        """Return the same model with another Calibrator."""
        arrays = calibrator.to_bytes()
        sha256 = hashlib.sha256(arrays).hexdigest()
        update = {"calibrator": calibrator.info, "calibrator_sha256": sha256}
        return Bundle(self.info.model_copy(update=update), self.model, arrays)

    def with_level(self, level: float) -> "Bundle":
        """Return the same bundle with prediction sets at another level, between 0 and 1.

        Raises BundleError without a Calibrator, and GliascopeError where it was calibrated on too few groups
        for the level.
        """
        if self.calibrator is None:
            raise BundleError(
                "this bundle has no calibrator, and so no prediction sets; predict without --level"
            )
        return replace(
            self, info=self.info.model_copy(update={"calibrator": self.calibrator.with_level(level).info})
        )

    @classmethod
    def load(cls, path: Path) -> "Bundle":
        """Read a bundle from a folder or a .zip file.

        Raises BundleError where there is no bundle, or a file of it is damaged or was changed.
        """
        files = read_bundle_files(path, BUNDLE_FILES)
        info = _read_info(path, files["bundle.json"])
        recorded: dict[str, str | None] = {"model.onnx": info.model_sha256}
        if info.calibrator is not None:
            recorded["calibrator.npz"] = info.calibrator_sha256
        for name, sha256 in recorded.items():
            if name not in files:
                raise BundleError(f"{path}: it lacks {name}; make the bundle again, or copy all of it")
            if hashlib.sha256(files[name]).hexdigest() != sha256:
                raise _changed(path, f"{name} is damaged, or")
        arrays = files["calibrator.npz"] if info.calibrator is not None else b""
        bundle = cls(info, files["model.onnx"], arrays)
        try:
            _ = bundle.calibrator
        except (*ZIP_ERRORS, OSError, KeyError) as error:
            raise BundleError(
                f"{path}: calibrator.npz cannot be read ({error}); make the bundle again"
            ) from None
        return bundle

    def write(self, folder: Path, card: str | None = None) -> None:
        """Write the bundle into a folder, which appears once all files are written.

        Parameters
        ----------
        folder
            Where to write. An older bundle there is replaced.
        card
            The model card, Markdown.

        Raises
        ------
        BundleError
            Where the folder holds something other than a bundle.
        """
        if folder.exists() and not (folder / "bundle.json").exists() and not _is_empty(folder):
            raise BundleError(f"{folder}: holds something other than a bundle; choose another folder")
        with atomic_folder(folder) as temporary:
            (temporary / "model.onnx").write_bytes(self.model)
            content = json.loads(self.info.model_dump_json())
            text = json.dumps({"sha256": _digest(content)} | content, indent=2, ensure_ascii=False)
            (temporary / "bundle.json").write_text(text, encoding="utf-8")
            if self.arrays:
                (temporary / "calibrator.npz").write_bytes(self.arrays)
            if card is not None:
                (temporary / CARD).write_text(card, encoding="utf-8")


def read_card(path: Path) -> str | None:
    """Read the model card of a bundle's folder or .zip, if it has one. Raises BundleError as `load` does."""
    card = read_bundle_files(path, (BUNDLE_FILES[0], CARD)).get(CARD)
    return None if card is None else card.decode("utf-8", "replace")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _read_info(path: Path, text: bytes) -> BundleInfo:
    """Read bundle.json and compare its fields with the checksum beside them."""
    try:
        content = json.loads(text)
        recorded, written = content.pop("sha256", None), content["format"]
    except (ValueError, RecursionError, LookupError, AttributeError, TypeError):
        raise BundleError(f"{path}: bundle.json is damaged; make the bundle again") from None
    if written != FORMAT:
        newer = isinstance(written, int) and written > FORMAT
        remedy = "a newer gliascope made it: upgrade gliascope" if newer else "make the bundle again"
        raise BundleError(f"{path}: expected bundle format {FORMAT} but got {written}; {remedy}")
    if recorded != _digest(content):
        raise _changed(path, "bundle.json")
    try:
        return BundleInfo.model_validate(content)
    except ValidationError as error:
        message = f"{path}: bundle.json is damaged ({first_error(error)}); make the bundle again"
        raise BundleError(message) from None


def _digest(content: dict[str, Any]) -> str:
    """SHA-256 of JSON in a canonical form, so that indents and the order of keys do not matter."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _changed(path: Path, what: str) -> BundleError:
    return BundleError(f"{path}: {what} was changed after it was made; make it again with `gliascope bundle`")
