import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gliascope.dataset.scan import scan
from gliascope.errors import GliascopeError
from gliascope.preprocessing.preprocess import Preprocessing, preprocess
from gliascope.runtime.executors import ThreadExecutor
from gliascope.store import store as module
from gliascope.store.store import store

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
    monkeypatch.setattr(module, "_store", lambda *_: pytest.fail("built again"))
    assert store(frame.reverse(), SMALL).key == first.key


def test_what_changes_no_stored_pixel_is_not_in_the_key(make_source: Make) -> None:
    frame = scan([make_source({"yes": 2, "no": 2})]).frame
    graph = Preprocessing(size=32, centre=24, mean=(0.5,) * 3, std=(0.2,) * 3)
    built, found = store(frame, SMALL), store(frame, graph)
    assert found.key == built.key
    assert found.preprocessing == graph
    assert store(frame, Preprocessing(size=32, fit="cover")).key != built.key


def test_an_interrupted_one_goes_on_where_it_stopped(
    make_source: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = scan([make_source({"yes": 120, "no": 120})]).frame
    calls: list[int] = []

    def counting(pixels: np.ndarray, wanted: Preprocessing) -> np.ndarray:
        calls.append(1)
        if len(calls) == 230:
            raise KeyboardInterrupt
        return preprocess(pixels, wanted)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "preprocess", counting)
        store(frame, SMALL)
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(module, "preprocess", counting)
        built = store(frame, SMALL)
    done = int(capsys.readouterr().err.split("store: ")[1].split(" of 240")[0])
    assert done in (100, 140, 200)  # pieces of 100, 100 and 40, two at a time
    assert len(calls) == 240 - done
    assert (built.pixels.reshape(240, -1).max(axis=1) > 0).all()


def test_processes_share_the_work(make_source: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one fills the store while this one is at its first piece."""
    monkeypatch.setattr(module, "SLICES_PER_TASK", 4)
    frame = scan([make_source({"yes": 10, "no": 10})]).frame
    decoded = []

    class Slow(ThreadExecutor):
        def wrap(self, function):
            def slow(piece):
                decoded.append(piece)
                if len(decoded) == 1:
                    store(frame, Preprocessing(size=16), ThreadExecutor(1))
                return function(piece)

            return slow

    made = store(frame, Preprocessing(size=16), Slow(1))
    assert [len(piece) for piece in decoded] == [4]
    assert made.missing.size == 0
    assert np.asarray(made.pixels).any(axis=(1, 2)).all()


def test_what_changed_or_went_is_set_aside_counted_and_named(
    make_source: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_source({"yes": 3, "no": 3})
    frame = scan([source]).frame
    Image.new("L", (48, 48), 7).save(source / "yes" / "001.png")
    (source / "yes" / "002.png").unlink()
    built = store(frame, SMALL)
    told = capsys.readouterr().err
    assert "yes/001.png (changed)" in told
    assert "yes/002.png (not found)" in told
    assert "2 of 6 slices are missing from the store" in told
    left = built.drop_missing(frame)
    assert left["path"].to_list() == [
        f"source/{name}.png" for name in ("no/000", "no/001", "no/002", "yes/000")
    ]
    assert len(built.rows(left["pixel_hash"])) == 4
    with pytest.raises(GliascopeError, match="lost since the scan"):
        built.rows(frame["pixel_hash"])


def test_what_comes_back_is_stored_then(make_source: Make) -> None:
    source = make_source({"yes": 3, "no": 3})
    frame = scan([source]).frame
    (source / "yes" / "002.png").rename(source / "away.png")
    assert len(store(frame, SMALL).missing) == 1
    (source / "away.png").rename(source / "yes" / "002.png")
    built = store(frame, SMALL)
    assert not len(built.missing)
    assert (built.pixels.reshape(6, -1).max(axis=1) > 0).all()


def test_a_copy_stands_in_for_a_file_that_is_gone(make_source: Make) -> None:
    source = make_source({"yes": 2, "no": 2})
    (source / "yes" / "copy.png").write_bytes((source / "yes" / "000.png").read_bytes())
    frame = scan([source]).frame
    (source / "yes" / "000.png").unlink()
    assert not len(store(frame, SMALL).missing)


def test_a_source_that_is_all_gone_is_an_error(make_source: Make) -> None:
    source = make_source({"yes": 1, "no": 1})
    frame = scan([source]).frame
    shutil.rmtree(source)
    with pytest.raises(GliascopeError, match=r"all files are changed or gone.*no/000\.png \(not found\)"):
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
