"""The Bundle: the one thing you deploy."""

import hashlib
import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gliascope import RESEARCH_USE
from gliascope.data.preprocess import Preprocessing
from gliascope.errors import BundleError, explain
from gliascope.files import atomic_folder
from gliascope.inference.judge import Judge, JudgeInfo

FORMAT = 4
MEMBERS = ("bundle.json", "model.onnx", "judge.npz")


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
    judge: JudgeInfo | None = None  # None: findings are `unchecked`
    judge_sha256: str | None = None
    metrics: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Bundle:
    """`model` is an ONNX graph: uint8 pixels in, logits, features and class activation maps out.

    `arrays` are those of its Judge, empty where it has none.
    """

    info: BundleInfo
    model: bytes
    arrays: bytes = b""

    @property
    def judge(self) -> Judge | None:
        """What the answers are worth, if that is known."""
        return None if self.info.judge is None else Judge.from_bytes(self.info.judge, self.arrays)

    def with_judge(self, judge: Judge) -> "Bundle":
        """The same model with this Judge."""
        arrays = judge.to_bytes()
        update = {"judge": judge.info, "judge_sha256": hashlib.sha256(arrays).hexdigest()}
        return Bundle(self.info.model_copy(update=update), self.model, arrays)

    def at(self, level: float) -> "Bundle":
        """The same with prediction sets at another level.

        Raises BundleError without a Judge, GliascopeError where its groups are too few for the level.
        """
        if self.judge is None:
            raise BundleError("this bundle has no judge, and so no prediction sets; predict without --level")
        return replace(self, info=self.info.model_copy(update={"judge": self.judge.at(level).info}))

    @classmethod
    def load(cls, path: Path) -> "Bundle":
        """Open a bundle folder, or a .zip of one. Raises BundleError where it is none, or is damaged."""
        try:
            text, model, arrays = _read_members(path)
            written = json.loads(text)["format"]
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise BundleError(f"{path}: not a bundle ({error}); make one with `gliascope bundle`") from None
        if written != FORMAT:
            raise BundleError(f"{path}: expected bundle format {FORMAT} but got {written}; export it again")
        try:
            info = BundleInfo.model_validate_json(text)
        except ValidationError as error:
            raise BundleError(f"{path}: bundle.json is damaged ({explain(error)}); export it again") from None
        members = [("model.onnx", model, info.model_sha256)]
        if info.judge is not None:
            members.append(("judge.npz", arrays, info.judge_sha256 or ""))
        for name, content, recorded in members:
            if hashlib.sha256(content).hexdigest() != recorded:
                raise BundleError(
                    f"{path}: {name} is damaged (its SHA-256 is not the recorded one); export it again"
                )
        return cls(info, model, arrays)

    def write(self, folder: Path, card: str | None = None) -> None:
        """Write model.onnx, bundle.json, any judge.npz and, where given, MODEL_CARD.md; all appear at once.

        Replaces an older bundle; raises BundleError rather than replace anything else.
        """
        if folder.exists() and not (folder / "bundle.json").exists() and not _is_empty(folder):
            raise BundleError(f"{folder}: holds something else than a bundle; choose another folder")
        with atomic_folder(folder) as temporary:
            (temporary / "model.onnx").write_bytes(self.model)
            (temporary / "bundle.json").write_text(self.info.model_dump_json(indent=2), encoding="utf-8")
            if self.arrays:
                (temporary / "judge.npz").write_bytes(self.arrays)
            if card is not None:
                (temporary / "MODEL_CARD.md").write_text(card, encoding="utf-8")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _read_members(path: Path) -> tuple[bytes, bytes, bytes]:
    """Contents of MEMBERS; empty where there is no judge.npz."""
    if path.is_dir():
        found = {name: (path / name).read_bytes() for name in MEMBERS if (path / name).exists()}
    else:
        with zipfile.ZipFile(path) as archive:
            # A zip of the folder holds it under its name; a zip of its content does not.
            names = archive.namelist()
            place = next((name for name in names if name.split("/")[-1] == MEMBERS[0]), MEMBERS[0])
            inside = {name: place.removesuffix(MEMBERS[0]) + name for name in MEMBERS}
            found = {name: archive.read(at) for name, at in inside.items() if at in names}
    for name in MEMBERS[:2]:
        if name not in found:
            raise OSError(f"it lacks {name}")
    return found["bundle.json"], found["model.onnx"], found.get("judge.npz", b"")
