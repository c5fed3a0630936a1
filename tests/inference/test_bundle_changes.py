"""A bundle is as it was made, or it is refused: by folder and by .zip, in one line that says what to do."""

import hashlib
import json
import random
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from quadrants import quadrant_bundle
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.errors import BundleError
from gliascope.inference.bundle import FORMAT, Bundle, BundleInfo, read_card
from gliascope.inference.engine import Engine
from gliascope.uncertainty.features import OodFeature

Content = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    quadrant_bundle().write(tmp_path / "bundle", "# Card")
    return tmp_path / "bundle"


def zipped(folder: Path, name: Callable[[str], str] = lambda name: name, method: int = 8) -> Path:
    archive = folder.parent / "bundle.zip"
    with zipfile.ZipFile(archive, "w", method) as content:
        for path in sorted(folder.iterdir()):
            member = zipfile.ZipInfo("x")
            member.filename, member.compress_type = name(path.name), method
            content.writestr(member, path.read_bytes())
    return archive


def _edit(change: Callable[[Content], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / "bundle.json").read_text())
        change(content)
        (folder / "bundle.json").write_text(json.dumps(content))

    return edit


EDITS = {
    "swapped classes": lambda content: content["classes"].reverse(),
    "doubled class": lambda content: content["classes"].__setitem__(1, content["classes"][0]),
    "renamed class": lambda content: content["classes"].__setitem__(1, "healthy"),
    "one class less": lambda content: content["classes"].pop(),
    "an empty class": lambda content: content["classes"].__setitem__(1, ""),
    "another fit": lambda content: content["preprocessing"].update(fit="pad"),
    "another crop": lambda content: content["preprocessing"].update(crop="head"),
    "a field of preprocessing less": lambda content: content["preprocessing"].pop("crop"),
    "another temperature": lambda content: content["calibrator"].update(temperature=0.5),
    "another level": lambda content: content["calibrator"].update(level=0.5),
    "a wider scope": lambda content: content["calibrator"]["ood"]["network"].update(scale=1e9),
    "no calibrator": lambda content: content.update(calibrator=None, calibrator_sha256=None),
    "better numbers": lambda content: content["metrics"]["official"]["accuracy"].update(value=1.0),
    "no word of research": lambda content: content.update(research_use="for patients"),
    "another recipe": lambda content: content.update(recipe="best"),
    "no checksum": lambda content: content.pop("sha256"),
    "the model's checksum": lambda content: content.update(model_sha256="0" * 64),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("packed", [False, True])
def test_any_edit_of_bundle_json_is_refused(folder: Path, name: str, packed: bool) -> None:
    _edit(EDITS[name])(folder)
    path = zipped(folder) if packed else folder
    with pytest.raises(BundleError, match=r"bundle\.json was changed after it was made; make it again"):
        Bundle.load(path)


def test_another_indent_or_order_is_no_change(folder: Path) -> None:
    def reverse(content: Content) -> None:
        items = list(content.items())[::-1]
        content.clear()
        content.update(items)

    before = Bundle.load(folder)
    _edit(reverse)(folder)
    assert Bundle.load(folder) == before == quadrant_bundle()


def test_the_card_is_for_people_who_may_edit_it(folder: Path) -> None:
    (folder / "MODEL_CARD.md").write_text("# Ours, for the ward")
    assert Bundle.load(folder) == quadrant_bundle()
    assert read_card(folder) == read_card(zipped(folder)) == "# Ours, for the ward"
    (folder / "MODEL_CARD.md").write_bytes("# für uns".encode("latin-1"))
    assert read_card(folder) == "# f\ufffdr uns"


def test_every_flipped_byte_is_refused(folder: Path) -> None:
    random_ = random.Random(0)
    for name in ("model.onnx", "calibrator.npz", "bundle.json"):
        whole = (folder / name).read_bytes()
        for _ in range(25):
            content = bytearray(whole)
            content[random_.randrange(len(content))] ^= 1 << random_.randrange(7)
            (folder / name).write_bytes(content)
            with pytest.raises(BundleError) as refused:
                Bundle.load(folder)
            assert name in str(refused.value) and "\n" not in str(refused.value)
        (folder / name).write_bytes(whole)
    assert Bundle.load(folder) == quadrant_bundle()


def test_what_is_rewritten_on_purpose_is_whole_again(folder: Path, tmp_path: Path) -> None:
    lower = Bundle.load(folder).with_level(0.9)
    lower.write(tmp_path / "lower")
    assert Bundle.load(tmp_path / "lower") == lower


def test_files_of_two_bundles_make_none(folder: Path, tmp_path: Path) -> None:
    quadrant_bundle(turned=True).write(tmp_path / "turned")
    shutil.copy(tmp_path / "turned" / "model.onnx", folder / "model.onnx")
    with pytest.raises(BundleError, match=r"model\.onnx is damaged, or was changed after it was made"):
        Bundle.load(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"lacks model\.onnx"):
        Bundle.load(folder)


def test_a_newer_bundle_wants_a_newer_program_and_an_older_one_is_made_again(folder: Path) -> None:
    _edit(lambda content: content.update(format=FORMAT + 1, invented={"later": 1}))(folder)
    with pytest.raises(BundleError, match=r"newer gliascope made it: upgrade gliascope$"):
        Bundle.load(folder)
    for older in (FORMAT - 1, "five", None, True):
        _edit(lambda content, older=older: content.update(format=older))(folder)
        with pytest.raises(BundleError, match=r"make the bundle again$"):
            Bundle.load(folder)


@pytest.mark.parametrize("classes", [(), ("a",), ("a", "a"), ("a", ""), ("a", " ")])
def test_classes_are_told_apart(classes: tuple[str, ...]) -> None:
    facts = quadrant_bundle().info.model_dump(mode="json")
    with pytest.raises(ValidationError, match="neither empty nor repeated"):
        BundleInfo.model_validate(facts | {"classes": classes})


def test_a_bundle_that_contradicts_itself_is_not_run() -> None:
    """Checksums and all: whoever put it together took parts of several."""
    good = quadrant_bundle()
    calibrator = good.calibrator
    assert calibrator is not None

    def having(**update: Any) -> Bundle:
        return Bundle(good.info.model_copy(update=update), good.model, good.arrays)

    def calibrated(feature: OodFeature, name: str, shape: tuple[int, ...]) -> Bundle:
        changed = replace(calibrator.ood.subspaces[feature], **{name: np.zeros(shape, dtype=np.float32)})
        ood = replace(calibrator.ood, subspaces={**calibrator.ood.subspaces, feature: changed})
        return good.with_calibrator(replace(calibrator, ood=ood))

    size = good.info.preprocessing.model_copy(update={"size": 32})
    colour = good.info.preprocessing.model_copy(update={"channels": "rgb"})
    for bundle, words in (
        (having(classes=("glioma", "no_tumor")), r"logits of model\.onnx: expected shape 2 but got 4"),
        (having(classes=("a", "b", "c", "d", "e")), r"logits of model\.onnx: expected shape 5 but got 4"),
        (having(preprocessing=size), r"pixels of model\.onnx: expected shape 32 × 32 but got 16 × 16"),
        (having(preprocessing=colour), r"expected shape 16 × 16 × 3 but got 16 × 16"),
        (
            calibrated("network", "mean", (5,)),
            r"network\.mean of calibrator\.npz: expected shape 4 but got 5",
        ),
        (
            calibrated("grey_levels", "mean", (4,)),
            r"grey_levels\.mean of calibrator\.npz: expected shape 8 but got 4",
        ),
        (
            calibrated("layout", "components", (1, 8)),
            r"layout\.components .* expected shape 1 × 256 but got 1 × 8",
        ),
        (
            calibrated("grey_levels", "variances", (3,)),
            r"grey_levels\.components .* expected shape 3 × 8 but got 1 × 8",
        ),
    ):
        with pytest.raises(BundleError, match=words):
            Engine(bundle)
    Engine(good)


def test_a_calibrator_that_is_none_is_named_when_it_is_loaded(folder: Path, tmp_path: Path) -> None:
    bundle = quadrant_bundle()
    update = {"calibrator_sha256": hashlib.sha256(b"junk").hexdigest()}
    Bundle(bundle.info.model_copy(update=update), bundle.model, b"junk").write(tmp_path / "junk")
    with pytest.raises(BundleError, match=r"calibrator\.npz cannot be read"):
        Bundle.load(tmp_path / "junk")


def test_folders_parted_by_backslashes_are_understood(folder: Path) -> None:
    archive = zipped(folder, lambda name: f"models\\bundle\\{name}")
    assert Bundle.load(archive) == quadrant_bundle()
    assert read_card(archive) == "# Card"


def _encrypt(content: bytes) -> bytes:
    changed = bytearray(content)
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = changed.find(signature)
        while place >= 0:
            changed[place + offset] |= 1
            place = changed.find(signature, place + 4)
    return bytes(changed)


def _method(content: bytes) -> bytes:
    changed = bytearray(content)
    for signature, offset in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        place = changed.find(signature)
        while place >= 0:
            struct.pack_into("<H", changed, place + offset, 97)
            place = changed.find(signature, place + 4)
    return bytes(changed)


ZIPS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "encrypted": (_encrypt, "is encrypted; pack it again without a password"),
    "unknown method": (_method, "pack it again with the usual method"),
    "cut short": (lambda content: content[:-300], "is damaged"),
    "damaged within": (lambda content: content[:60] + bytes(20) + content[80:], "is damaged"),
    "empty": (lambda content: content[-22:-14] + bytes(14), "lacks bundle.json"),
    "text": (lambda content: b"not a zip", "neither a folder nor a .zip"),
    "nothing": (lambda content: b"", "neither a folder nor a .zip"),
}


@pytest.mark.parametrize("kind", ZIPS)
def test_a_zip_that_cannot_be_read_is_one_line(folder: Path, kind: str) -> None:
    archive = zipped(folder)
    change, words = ZIPS[kind]
    archive.write_bytes(change(archive.read_bytes()))
    with pytest.raises(BundleError) as refused:
        Bundle.load(archive)
    message = str(refused.value)
    assert words in message and str(archive) in message and "\n" not in message
    told = CliRunner().invoke(app, ["predict", str(archive), str(folder)])
    assert (told.exit_code, told.exception.__class__) == (2, SystemExit)


def test_a_zip_of_several_bundles_or_of_one_file_twice_is_refused(folder: Path) -> None:
    archive = zipped(folder)
    with zipfile.ZipFile(archive, "a") as content:
        content.write(folder / "bundle.json", "older/bundle.json")
    with pytest.raises(BundleError, match="several bundles"):
        Bundle.load(archive)
    archive = zipped(folder)
    with zipfile.ZipFile(archive, "a") as content, pytest.warns(UserWarning, match="Duplicate"):
        content.write(folder / "model.onnx", "model.onnx")
    with pytest.raises(BundleError, match=r"holds model\.onnx twice"):
        Bundle.load(archive)


def test_mutated_zips_are_refused_or_whole(folder: Path) -> None:
    random_ = random.Random(0)
    archive = zipped(folder)
    whole, refused = archive.read_bytes(), 0
    for _ in range(400):
        content = bytearray(whole[: random_.choice([len(whole), random_.randrange(4, len(whole))])])
        for _ in range(random_.randrange(6)):
            content[random_.randrange(len(content))] = random_.randrange(256)
        archive.write_bytes(content)
        try:
            assert Bundle.load(archive) == quadrant_bundle()
            read_card(archive)
        except BundleError:
            refused += 1
    assert 100 < refused < 400
