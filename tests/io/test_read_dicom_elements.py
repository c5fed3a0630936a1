"""Numbers half stated or oddly written: completed, or refused by name."""

import re

import numpy as np
import pytest
from making import dataset

from gliascope.errors import DamagedFileError
from gliascope.io import read

pytestmark = pytest.mark.filterwarnings("ignore::Warning:pydicom", "ignore::Warning:PIL")
HEAD = {"Modality": "CT", "WindowCenter": 40, "WindowWidth": 80}


def pixels(path):
    (slice_,) = read(path)
    return slice_.pixels


def with_text(make, stored, texts, **elements):
    """A file in which elements hold these texts, whatever the standard says of them."""
    result = make.dataset(stored, **elements)
    marks = [str(digit) * (len(text) + len(text) % 2) for digit, text in enumerate(texts.values(), 5)]
    for name, mark in zip(texts, marks, strict=True):
        setattr(result, name, mark)
    content = make.save(result).read_bytes()
    for text, mark in zip(texts.values(), marks, strict=True):
        content = content.replace(mark.encode(), text.encode().ljust(len(mark)), 1)
    return make.bytes(content)


@pytest.fixture
def stored(ct):
    return (ct + 1024).astype(np.uint16)


@pytest.mark.parametrize("slope", [{}, {"RescaleSlope": None}, {"RescaleSlope": ""}])
@pytest.mark.parametrize("window", [HEAD, {"Modality": "CT"}])
def test_without_a_slope_it_is_one(make, stored, slope, window):
    whole = pixels(make.dicom(stored, RescaleSlope=1, RescaleIntercept=-1024, **window))
    assert len(np.unique(whole)) > 30
    assert np.array_equal(pixels(make.dicom(stored, RescaleIntercept=-1024, **slope, **window)), whole)


@pytest.mark.parametrize("intercept", [{}, {"RescaleIntercept": None}])
def test_without_an_intercept_it_is_zero(make, mr, intercept):
    window = {"WindowCenter": 1000, "WindowWidth": 2000}
    whole = pixels(make.dicom(mr, RescaleSlope=2, RescaleIntercept=0, **window))
    assert whole.max() == 255
    assert np.array_equal(pixels(make.dicom(mr, RescaleSlope=2, **intercept, **window)), whole)


def test_a_frame_completes_what_its_own_group_leaves_out_from_the_shared_one(make, stored):
    def group(**elements):
        return dataset(PixelValueTransformationSequence=[dataset(**elements)])

    path = make.dicom(
        np.stack([stored, stored]), frames=2, **HEAD,
        SharedFunctionalGroupsSequence=[group(RescaleIntercept=-1024)],
        PerFrameFunctionalGroupsSequence=[group(RescaleSlope=1), group(RescaleSlope=None)],
    )  # fmt: skip
    whole = pixels(make.dicom(stored, RescaleSlope=1, RescaleIntercept=-1024, **HEAD))
    assert all(np.array_equal(frame.pixels, whole) for frame in read(path))


def test_a_decimal_comma_and_a_null_byte(make, mr):
    window = {"WindowCenter": 500, "WindowWidth": 1000}
    whole = pixels(make.dicom(mr, RescaleSlope="1.5", RescaleIntercept=0, PixelSpacing=[0.5, 0.5], **window))
    for slope in ("1,5", "1.5\0", " 1.5\0 ", "+1,5E0"):
        path = with_text(make, mr, {"RescaleSlope": slope, "PixelSpacing": "0,5\\0,5"}, **window)
        assert np.array_equal(pixels(path), whole)
        assert read(path)[0].spacing == (0.5, 0.5)


@pytest.mark.parametrize("text", ["one", "1.2.3", "1,2,3", "nan", "1_0", "1e999"])
@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
def test_what_is_no_number_is_refused_by_name(make, mr, name, text):
    with pytest.raises(DamagedFileError, match=f"no number.*{name}: correct that element") as caught:
        read(with_text(make, mr, {name: text}))
    assert not re.search(rf"[ (]{re.escape(text)}", str(caught.value).partition(": ")[2])


def test_a_slope_of_zero_is_none(make, mr):
    (slice_,) = read(make.dicom(mr, RescaleSlope=0, RescaleIntercept=0))
    assert np.array_equal(slice_.pixels, pixels(make.dicom(mr)))
    assert "RescaleSlope is 0" in slice_.notes[0]


@pytest.mark.parametrize(
    ("centres", "widths"), [("\\500", "\\1000"), ("\\500", "80\\1000"), ("40\\500", "0\\1000")]
)
def test_the_first_whole_window_counts(make, mr, centres, widths):
    path = with_text(make, mr, {"WindowCenter": centres, "WindowWidth": widths})
    assert np.array_equal(pixels(path), pixels(make.dicom(mr, WindowCenter=500, WindowWidth=1000)))


@pytest.mark.parametrize(
    "window", [{"WindowCenter": "middle"}, {"WindowCenter": "40"}, {"WindowWidth": "80"}]
)
def test_half_a_window_is_none_and_said(make, mr, window):
    (slice_,) = read(with_text(make, mr, window))
    assert np.array_equal(slice_.pixels, pixels(make.dicom(mr)))
    assert "state no valid window" in slice_.notes[0]


def test_an_empty_window_is_none(make, mr):
    (slice_,) = read(make.dicom(mr, WindowCenter=None, WindowWidth=""))
    assert np.array_equal(slice_.pixels, pixels(make.dicom(mr)))
    assert slice_.notes == ()
