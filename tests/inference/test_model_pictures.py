"""Arrays and Pillow images say what their files do; what may be something else is refused."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doors import COLOUR, DEEP, HEAD, SIGNED, said
from making import Make
from PIL import Image
from tiny import slice_image

import gliascope
from gliascope import Model
from gliascope.errors import (
    DamagedFileError,
    InputError,
    ReadError,
)


@pytest.mark.parametrize(
    ("array", "format_"),
    [
        (HEAD, "png"), (COLOUR, "png"), (np.repeat(HEAD[..., None], 3, -1), "png"), (DEEP, "png"), (SIGNED, "tiff"),
        ((DEEP / 4095).astype(np.float32), "tiff"), (np.zeros((40, 30), np.uint8), "png"), (HEAD[:, :1], "png"),
    ],
)  # fmt: skip
def test_an_array_an_image_and_their_file_say_the_same(
    model: Model, make: Make, array: np.ndarray, format_: str
) -> None:
    image = Image.fromarray(array)
    file = make.image(image, format_)
    expected = said(model.predict(file))
    assert said(model.predict(array)) == expected
    assert said(model.predict(image)) == expected
    assert said(model.predict(Image.open(file))) == expected
    assert said(model.predict(gliascope.read(file)[0])) == expected
    assert [said(one) for one in model.predict([str(file), array, image])] == [expected] * 3
    assert said(model.predict(np.asfortranarray(array))) == expected
    assert said(model.predict(array.astype(array.dtype.newbyteorder(">")))) == expected


@pytest.mark.parametrize("scale", [1 / 255, 1.0, 7.5])
def test_the_unit_of_floats_makes_no_difference_and_a_note_says_what_was_done(
    model: Model, scale: float
) -> None:
    finding = model.predict(HEAD * np.float64(scale))
    assert said(finding) == said(model.predict(HEAD.astype(np.uint16)))
    assert any("give uint8" in note for note in finding.notes) == (scale <= 1)
    assert any("x * 255" in note for note in finding.notes) == (scale < 1)


def test_missing_and_negative_values_are_read_as_files_have_them(model: Model, make: Make) -> None:
    holed = DEEP.astype(np.float32)
    holed[:4], holed[5, 5] = np.nan, np.inf
    assert said(model.predict(holed)) == said(model.predict(make.image(holed, "tiff")))
    with pytest.raises(DamagedFileError, match="<array>: no finite value"):
        model.predict(np.full((20, 20), np.nan))


def test_hounsfield_units_get_the_brain_window_in_an_array_and_in_nifti(model: Model, make: Make) -> None:
    random = np.random.default_rng(0)
    scan = np.full((40, 40), -1000.0)
    scan[8:32, 8:32] = random.normal(35, 8, (24, 24))
    scan[8:20, 20:32] += 20
    expected = model.predict(
        make.nifti(scan.astype(np.int16)[::-1, ::-1].T[..., None].copy(), affine=np.eye(4))
    )
    finding = model.predict(scan.astype(np.int16))
    assert said(finding) == said(expected)
    assert any("Hounsfield" in note for note in finding.notes)


@pytest.mark.parametrize(
    ("mode", "options"),
    [("P", {}), ("LA", {}), ("RGBA", {}), ("I;16", {}), ("1", {}), ("CMYK", {}), ("F", {}), ("L", {"exif": 6}), ("RGB", {"exif": 3})],
)  # fmt: skip
def test_every_mode_of_pillow_says_what_its_file_does(
    model: Model, make: Make, mode: str, options: dict[str, int]
) -> None:
    image = Image.fromarray(DEEP) if mode == "I;16" else slice_image(1, 3).convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 48, dtype=np.uint8), (48, 1))))
    exif = Image.Exif()
    exif[0x0112] = options.get("exif", 1)
    file = make.image(
        image, "tiff" if mode in ("CMYK", "F") else "png", **({"exif": exif} if options else {})
    )
    for one in (Image.open(file), image) if not options else (Image.open(file),):
        before = one.tobytes()
        finding = model.predict(one)
        assert said(finding) == said(model.predict(file))
        assert any("EXIF" in note for note in finding.notes) == bool(options)
        assert one.tobytes() == before
        assert one.mode == mode


def test_colour_of_16_bits_is_refused_where_pillow_would_cut_it(model: Model, tmp_path: Path) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    colours = np.random.default_rng(0).integers(0, 65535, (20, 20, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in colours)
    header = struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    assert said(model.predict(tmp_path / "deep.png")) == said(model.predict(colours))
    with pytest.raises(InputError, match="Pillow keeps 8 of its 16 bits a channel; give the path"):
        model.predict(Image.open(tmp_path / "deep.png"))


REFUSED: list[tuple[Any, str]] = [
    (
        np.zeros((5, 40, 30)),
        r"got \(5, 40, 30\); a stack of pictures is never guessed .* predict_study\(x, axis=…\)",
    ),
    (np.zeros((40, 30, 5)), "never guessed from a shape"),
    (np.zeros((3, 40, 30)), r"numpy.moveaxis\(x, 0, -1\)"),
    (np.zeros((40, 30, 4), np.uint8), "of RGBA give PIL.Image.fromarray"),
    (np.zeros((40, 30, 1)), r"of one channel give x.squeeze\(\)"),
    (np.zeros((2, 5, 40, 30)), "never guessed from a shape"),
    (np.zeros(40), r"x.reshape\(height, width\)"),
    (np.float64(3), "but got numpy.float64"),
    (np.array(3.0), "expected an array of shape"),
    (np.ma.masked_less(HEAD, 50), r"got a masked one; .* x.filled\(0\)"),
    (HEAD > 100, "booleans, as a mask has"),
    ((HEAD > 100).astype(np.uint8), "nothing but the values 0, 1, as a mask does"),
    ((HEAD > 100) * 255.0, "0, 255, as a mask"),
    (np.eye(3, dtype=np.uint8)[HEAD // 86], "0, 1, as a mask"),
    (HEAD + 1j, r"of complex values give abs\(x\)"),
    (HEAD.astype(object), "expected integers or floats but got object"),
    (HEAD.tolist(), "give numpy.array"),
    ([HEAD.tolist()], "picture 0 of the list: .* got list"),
    ([HEAD, b"x"], "picture 1 of the list: .* got bytes; give the path"),
    (b"\x89PNG", r"PIL.Image.open or pydicom.dcmread of io.BytesIO\(x\)"),
    (b"scan.png", "got bytes"),
    ((one for one in (HEAD,)), r"give a list: list\(x\)"),
    (None, "but got NoneType"),
    (7, "but got int"),
]


@pytest.mark.parametrize(("picture", "message"), REFUSED)
def test_what_may_be_something_else_is_refused_with_what_to_do(
    model: Model, picture: Any, message: str
) -> None:
    for ask in (model.predict, model.predict_proba):
        with pytest.raises(InputError, match=message):
            ask(picture)


@pytest.mark.parametrize("shape", [(0, 0), (0, 20), (20, 0), (0, 20, 3)])
def test_empty_arrays_are_refused(model: Model, shape: tuple[int, ...]) -> None:
    with pytest.raises(ReadError, match="<array>: impossible size"):
        model.predict(np.zeros(shape, np.uint8))


def test_tensors_and_open_files_are_refused_with_what_to_do(model: Model, make: Make) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"got torch.Tensor; give x.detach\(\).cpu\(\).numpy\(\)"):
        model.predict(torch.zeros(20, 20))
    with make.image(HEAD, "png").open("rb") as file, pytest.raises(InputError, match=r"PIL.Image.open\(x\)"):
        model.predict(file)


def test_colour_says_how_it_was_read(model: Model) -> None:
    assert any("OpenCV has blue first" in note for note in model.predict(COLOUR).notes)
    assert model.predict(np.repeat(HEAD[..., None], 3, -1)).notes == ()
