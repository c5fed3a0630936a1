"""Copies planted among phantoms of different patients: which are found, and who is wrongly joined."""

import numpy as np
import polars as pl
import pytest
from PIL import Image
from planted import KINDS, frame_of

from gliascope.audit import copies
from gliascope.audit.copies import find_near_copies
from gliascope.audit.search import Pairs
from gliascope.synthetic import LABELS, phantom

PATIENTS = 60


@pytest.fixture(scope="module")
def patients() -> dict[str, Image.Image]:
    return {
        f"{n}": Image.fromarray(phantom(LABELS[n % len(LABELS)], seed=n, size=160).pixels)
        for n in range(PATIENTS)
    }


@pytest.fixture(scope="module")
def found(patients: dict[str, Image.Image]) -> set[frozenset[str]]:
    """Pairs of names; a copy is named like "7 flipped"."""
    pictures = {name: np.asarray(image) for name, image in patients.items()}
    for name, image in patients.items():
        pictures |= {f"{name} {kind}": np.asarray(copy(image).convert("L")) for kind, copy in KINDS.items()}
    frame = frame_of(pictures)
    names = dict(frame.select("pixel_hash", "path").iter_rows())
    return {
        frozenset((names[a], names[b])) for a, b in find_near_copies(frame)[0].select("a", "b").iter_rows()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_planted_copies_are_found(kind: str, found: set[frozenset[str]]) -> None:
    hits = [frozenset((f"{n}", f"{n} {kind}")) in found for n in range(PATIENTS)]
    assert np.mean(hits) >= (0.95 if "cropped" in kind else 0.99)


def test_different_patients_are_not_joined(found: set[frozenset[str]]) -> None:
    wrong = [pair for pair in found if len({name.split()[0] for name in pair}) > 1]
    assert len(wrong) <= 0.005 * len(found)


def test_pairs_say_what_it_took_and_do_not_depend_on_the_order(patients: dict[str, Image.Image]) -> None:
    image = patients["0"]
    pictures = {
        "plain": image,
        "bright": KINDS["brighter by 15 %"](image),
        "flipped": KINDS["flipped"](image),
    }
    frame = frame_of({name: np.asarray(picture) for name, picture in pictures.items()})
    pairs, recall = find_near_copies(frame)
    assert recall == 1
    assert pairs.equals(find_near_copies(frame.reverse())[0])
    name = dict(frame.select("pixel_hash", "path").iter_rows())
    took = {frozenset((name[a], name[b])): transform for a, b, _, transform, _ in pairs.iter_rows()}
    assert took == {
        frozenset(("plain", "bright")): "none",
        frozenset(("plain", "flipped")): "flip",
        frozenset(("bright", "flipped")): "flip",
    }
    assert (pairs["a"] < pairs["b"]).all()


def test_blank_slices_and_single_slices_are_no_copies() -> None:
    blank = {"black": np.zeros((50, 50), np.uint8), "grey": np.full((60, 60), 90, np.uint8)}
    assert find_near_copies(frame_of(blank))[0].is_empty()
    assert find_near_copies(frame_of(blank).head(1))[0].is_empty()
    assert find_near_copies(frame_of(blank).head(1))[0].schema["correlation"] == pl.Float64


def test_the_transform_that_reaches_the_threshold_wins_over_one_that_nearly_does(monkeypatch) -> None:
    frame = frame_of({name: np.full((8, 8), n, np.uint8) for n, name in enumerate("ab")})
    found = {"": 0.975, " without border": 0.999}

    def searched(_images, what, lowest):
        pairs = Pairs(np.array([0]), np.array([1]), np.array([found[what]]))
        return ([("none", pairs)] if found[what] >= lowest else []), 1.0

    monkeypatch.setattr(copies, "_search_all_transforms", searched)
    pairs, _ = find_near_copies(frame, 0.98, doubt=0.01)
    assert pairs.select("correlation", "transform").rows() == [(0.999, "crop")]
