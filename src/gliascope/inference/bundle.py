"""The Bundle: the one thing you deploy."""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gliascope import RESEARCH_USE
from gliascope.data.preprocess import Preprocessing
from gliascope.errors import BundleError, explain
from gliascope.files import atomic_folder

FORMAT = 2


class BundleInfo(BaseModel):
    """bundle.json."""

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
    # Below it, a finding is `uncertain`; chosen by evaluation on validation slices.
    confidence_threshold: float | None = None
    metrics: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Bundle:
    """`model` is an ONNX graph: uint8 pixels in, logits, features and class activation maps out."""

    info: BundleInfo
    model: bytes

    @classmethod
    def load(cls, path: Path) -> "Bundle":
        """Open a bundle folder, or a .zip of one. Raises BundleError where it is none, or is damaged."""
        try:
            text, model = _read_members(path)
            written = json.loads(text)["format"]
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise BundleError(f"{path}: not a bundle ({error}); make one with `gliascope bundle`") from None
        if written != FORMAT:
            raise BundleError(f"{path}: expected bundle format {FORMAT} but got {written}; export it again")
        try:
            info = BundleInfo.model_validate_json(text)
        except ValidationError as error:
            raise BundleError(f"{path}: bundle.json is damaged ({explain(error)}); export it again") from None
        if hashlib.sha256(model).hexdigest() != info.model_sha256:
            raise BundleError(
                f"{path}: model.onnx is damaged (its SHA-256 is not the recorded one); export it again"
            )
        return cls(info, model)

    def write(self, folder: Path, card: str | None = None) -> None:
        """Write model.onnx, bundle.json and, where given, MODEL_CARD.md; the folder appears at once.

        Replaces an older bundle; raises BundleError rather than replace anything else.
        """
        if folder.exists() and not (folder / "bundle.json").exists() and not _is_empty(folder):
            raise BundleError(f"{folder}: holds something else than a bundle; choose another folder")
        with atomic_folder(folder) as temporary:
            (temporary / "model.onnx").write_bytes(self.model)
            (temporary / "bundle.json").write_text(self.info.model_dump_json(indent=2), encoding="utf-8")
            if card is not None:
                (temporary / "MODEL_CARD.md").write_text(card, encoding="utf-8")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _read_members(path: Path) -> tuple[bytes, bytes]:
    if path.is_dir():
        return (path / "bundle.json").read_bytes(), (path / "model.onnx").read_bytes()
    with zipfile.ZipFile(path) as archive:
        # A zip of the folder holds it under its name; a zip of its content does not.
        found = next(
            (name for name in archive.namelist() if name.split("/")[-1] == "bundle.json"), "bundle.json"
        )
        return archive.read(found), archive.read(found.removesuffix("bundle.json") + "model.onnx")
