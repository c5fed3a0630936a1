"""The Bundle: the one thing you deploy."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from gliascope import RESEARCH_USE
from gliascope.errors import BundleError, explain
from gliascope.evaluation.estimate import Estimate, Value
from gliascope.inference.bundle_files import read_bundle_files
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.runtime.files import ZIP_DAMAGES, atomic_folder
from gliascope.uncertainty.calibrator import Calibrator, CalibratorInfo

FORMAT = 6
BUNDLE_FILES = ("bundle.json", "model.onnx", "calibrator.npz")
CARD = "MODEL_CARD.md"


class HeadlineMetrics(Value):
    """What a bundle says of its model under one protocol."""

    leaky: bool
    n: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_auroc: Estimate
    ece: Estimate
    brier: Estimate


class BundleInfo(BaseModel):
    """bundle.json, but for the checksum of these fields that `Bundle.write` puts beside them."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    recipe: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    tta: dict[str, Any]  # the views that the graph averages, as the recipe says
    activation_maps: bool  # whether the graph gives class activation maps
    parameters: int
    model_sha256: str
    versions: dict[str, str]
    licences: dict[str, str]
    research_use: str = RESEARCH_USE
    calibrator: CalibratorInfo | None = None  # None: findings are `unchecked`
    calibrator_sha256: str | None = None
    metrics: dict[str, HeadlineMetrics] = {}

    @field_validator("classes")
    @classmethod
    def _are_told_apart(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(classes) < 2 or len(set(classes)) < len(classes) or not all(name.strip() for name in classes):
            raise ValueError("expected at least two classes, and names that are neither empty nor doubled")
        return classes


@dataclass(frozen=True, slots=True)
class Bundle:
    """`model` is an ONNX graph: uint8 pixels in, logits, features and class activation maps out.

    `arrays` are those of its Calibrator, empty where it has none. Checksums cover all that is written but
    MODEL_CARD.md, which is for people, who may edit it. They tell what was changed by mistake; whoever means
    to deceive can compute them anew.
    """

    info: BundleInfo
    model: bytes
    arrays: bytes = b""

    @property
    def calibrator(self) -> Calibrator | None:
        """What says how far to go by the answers; None where nothing calibrated the model."""
        info = self.info.calibrator
        return None if info is None else Calibrator.from_bytes(info, self.arrays)

    def with_calibrator(self, calibrator: Calibrator) -> "Bundle":
        """The same model with this Calibrator."""
        arrays = calibrator.to_bytes()
        sha256 = hashlib.sha256(arrays).hexdigest()
        update = {"calibrator": calibrator.info, "calibrator_sha256": sha256}
        return Bundle(self.info.model_copy(update=update), self.model, arrays)

    def with_level(self, level: float) -> "Bundle":
        """The same with prediction sets at another level.

        Raises BundleError without a Calibrator, GliascopeError where its groups are too few for the level.
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
        """Open a bundle folder, or a .zip of one.

        Raises BundleError where it is none, is damaged, or is not as it was made.
        """
        found = read_bundle_files(path, BUNDLE_FILES)
        info = _read_info(path, found["bundle.json"])
        recorded: dict[str, str | None] = {"model.onnx": info.model_sha256}
        if info.calibrator is not None:
            recorded["calibrator.npz"] = info.calibrator_sha256
        for name, sha256 in recorded.items():
            if name not in found:
                raise BundleError(f"{path}: it lacks {name}; make the bundle again, or copy all of it")
            if hashlib.sha256(found[name]).hexdigest() != sha256:
                raise _changed(path, f"{name} is damaged, or")
        arrays = found["calibrator.npz"] if info.calibrator is not None else b""
        bundle = cls(info, found["model.onnx"], arrays)
        try:
            _ = bundle.calibrator
        except (*ZIP_DAMAGES, OSError, KeyError) as error:
            raise BundleError(
                f"{path}: calibrator.npz cannot be read ({error}); make the bundle again"
            ) from None
        return bundle

    def write(self, folder: Path, card: str | None = None) -> None:
        """Write model.onnx, bundle.json and, where there are any, calibrator.npz and MODEL_CARD.md, at once.

        Replaces an older bundle; raises BundleError rather than replace anything else.
        """
        if folder.exists() and not (folder / "bundle.json").exists() and not _is_empty(folder):
            raise BundleError(f"{folder}: holds something else than a bundle; choose another folder")
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
    """The model card of a bundle's folder or .zip; None where there is none. Raises BundleError as `load`."""
    card = read_bundle_files(path, (BUNDLE_FILES[0], CARD)).get(CARD)
    return None if card is None else card.decode("utf-8", "replace")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _read_info(path: Path, text: bytes) -> BundleInfo:
    """Of bundle.json: what `Bundle.write` wrote, which has a checksum of its own beside the fields."""
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
        message = f"{path}: bundle.json is damaged ({explain(error)}); make the bundle again"
        raise BundleError(message) from None


def _digest(content: dict[str, Any]) -> str:
    """SHA-256 of JSON in canonical form: what another indent or order of keys does not change."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _changed(path: Path, what: str) -> BundleError:
    return BundleError(f"{path}: {what} was changed after it was made; make it again with `gliascope bundle`")
