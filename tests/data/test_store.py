from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gliascope.data import store as module
from gliascope.data.preprocess import Preprocessing, preprocess
from gliascope.data.scan import scan
from gliascope.data.store import cache_folder, store
from gliascope.errors import GliascopeError

SMALL = Preprocessing(size=32)
Make = Callable[..., Path]


def test_holds_each_slice_preprocessed_and_copies_once(make_source: Make) -> None:
    source = make_source({"yes": 4, "no": 4})
    (source / "yes" / "copy.png").write_bytes((source / "yes" / "000.png").read_bytes())
    frame = scan([source]).frame
    built = store(frame, SMALL)
    assert built.pixels.shape == (8, 32, 32)
    for path, row in zip(frame["path"], built.rows(frame["pixel_hash"]), strict=True):
        pixels = np.asarray(Image.open(source.parent / path))
        assert np.array_equal(built.pixels[row], preprocess(pixels, SMALL))


def test_a_second_call_finds_it_and_other_preprocessing_does_not(
    make_source: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source({"yes": 2, "no": 2})
    frame = scan([source]).frame
    first = store(frame, SMALL)
    other = store(frame, Preprocessing(size=48))
    assert other.key != first.key
    monkeypatch.setattr(module, "_build", lambda *_: pytest.fail("built again"))
    assert store(frame.reverse(), SMALL).key == first.key


def test_what_changes_no_stored_pixel_is_not_in_the_key(make_source: Make) -> None:
    frame = scan([make_source({"yes": 2, "no": 2})]).frame
    graph = Preprocessing(size=32, centre=24, mean=(0.5,) * 3, std=(0.2,) * 3)
    built, found = store(frame, SMALL), store(frame, graph)
    assert found.key == built.key
    assert found.preprocessing == graph
    assert store(frame, Preprocessing(size=32, fit="cover")).key != built.key


def test_a_half_built_one_is_never_used(make_source: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = scan([make_source({"yes": 40, "no": 40})]).frame
    calls = iter(range(1000))

    def interrupted(pixels: np.ndarray, wanted: Preprocessing) -> np.ndarray:
        if next(calls) == 50:
            raise KeyboardInterrupt
        return preprocess(pixels, wanted)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "preprocess", interrupted)
        store(frame, SMALL)
    assert not list((cache_folder() / "store").iterdir())
    built = store(frame, SMALL)
    assert (built.pixels.reshape(80, -1).max(axis=1) > 0).all()


def test_a_changed_or_missing_file_is_named(make_source: Make) -> None:
    source = make_source({"yes": 2, "no": 2})
    frame = scan([source]).frame
    Image.new("L", (48, 48), 7).save(source / "yes" / "001.png")
    with pytest.raises(GliascopeError, match=r"yes/001\.png: changed since the scan"):
        store(frame, SMALL)
    (source / "yes" / "001.png").unlink()
    with pytest.raises(GliascopeError, match=r"yes/001\.png: not found"):
        store(frame, SMALL)


def test_slices_of_another_catalogue_are_refused(make_source: Make) -> None:
    frames = [scan([make_source({"yes": 2, "no": 2}, name=f"s{seed}", seed=seed)]).frame for seed in (0, 1)]
    with pytest.raises(GliascopeError, match="another catalogue"):
        store(frames[0], SMALL).rows(frames[1]["pixel_hash"])


def test_a_full_disk_is_an_error_and_leaves_nothing(
    make_source: Make, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIASCOPE_CACHE", str(small_disk))
    frame = scan([make_source({"yes": 20, "no": 20})]).frame
    with pytest.raises(OSError, match="No space left"):
        store(frame, Preprocessing(size=256))
    assert not list((small_disk / "store").iterdir())
