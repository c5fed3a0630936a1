import tracemalloc

import numpy as np
import polars as pl
import pytest

from gliascope.audit import copies, index, search
from gliascope.audit.search import ExhaustiveSearch
from gliascope.audit.vectors import (
    TRANSFORMS,
    bounding_vectors,
    correlation,
    low_frequencies,
    transform_low_frequencies,
)


def thumbnails(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random images in loose families, so that many pairs come near any threshold."""
    random = np.random.default_rng(seed)
    coarse = random.normal(size=(count // 4, 8, 8))
    family = coarse[random.integers(0, len(coarse), count)] + 0.25 * random.normal(size=(count, 8, 8))
    large = np.kron(family, np.ones((8, 8))) + 0.2 * random.normal(size=(count, 64, 64))
    return (128 + 30 * large).clip(0, 255).astype(np.uint8)


def all_pairs(images: np.ndarray, transform: str, threshold: float) -> dict[tuple[int, int], float]:
    i, j = np.triu_indices(len(images), 1)
    scores = correlation(images[i], TRANSFORMS[transform](images[j]))
    return {(int(a), int(b)): s for a, b, s in zip(i, j, scores, strict=True) if s >= threshold}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_search_finds_exactly_what_comparing_all_pairs_finds(transform: str, monkeypatch) -> None:
    monkeypatch.setattr(search, "BLOCK", 50)  # several blocks
    images = thumbnails(120)
    images[7] = TRANSFORMS[transform](images[80])
    found = ExhaustiveSearch(images).pairs(transform, 0.8)
    expected = all_pairs(images, transform, 0.8)
    assert (7, 80) in expected
    assert {(a, b) for a, b in zip(found.first.tolist(), found.second.tolist(), strict=True)} == set(expected)
    assert found.correlation.tolist() == [
        expected[pair] for pair in zip(found.first.tolist(), found.second.tolist(), strict=True)
    ]


def test_the_bound_is_never_below_the_correlation() -> None:
    images = thumbnails(100)
    vectors = bounding_vectors(low_frequencies(images))
    i, j = np.triu_indices(100, 1)
    assert ((vectors @ vectors.T)[i, j] >= correlation(images[i], images[j]) - 1e-5).all()


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_low_frequencies_turn_as_the_image_does(transform: str) -> None:
    images = thumbnails(20)
    turned = np.ascontiguousarray(TRANSFORMS[transform](images))
    assert np.allclose(
        low_frequencies(turned), transform_low_frequencies(low_frequencies(images), transform), atol=1e-5
    )


def test_thumbnails_are_read_and_transformed_with_little_memory() -> None:
    column = pl.Series([bytes(row) for row in thumbnails(2000).reshape(2000, -1)])
    tracemalloc.start()
    try:
        images = copies.thumbnail_array(column)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * images.nbytes
        low_frequencies(images)
        assert tracemalloc.get_traced_memory()[1] < 5 * images.nbytes
    finally:
        tracemalloc.stop()


def test_correlation_is_pearsons() -> None:
    images = thumbnails(12)
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(images[:6], images[6:], strict=True)]
    assert correlation(images[:6], images[6:]) == pytest.approx(expected)
    assert correlation(np.zeros((1, 64, 64), np.uint8), images[:1]).tolist() == [0.0]


@pytest.mark.parametrize("transform", ["none", "flip, turn 90"])
def test_the_index_finds_nearly_all_and_says_how_many(transform: str, monkeypatch) -> None:
    images = thumbnails(1500)
    images[3] = TRANSFORMS[transform](images[900])
    exact = ExhaustiveSearch(images).pairs(transform, 0.9)
    indexed = index.IndexedSearch(images)
    found = indexed.pairs(transform, 0.9)
    pairs = [set(zip(p.first.tolist(), p.second.tolist(), strict=True)) for p in (exact, found)]
    assert (3, 900) in pairs[1]
    assert pairs[1] <= pairs[0]
    share = len(pairs[1]) / len(pairs[0])
    assert share > 0.9
    if transform == "none":
        assert indexed.recall(found, 0.9) == pytest.approx(share, abs=0.05)


def test_large_sets_go_to_the_index(monkeypatch) -> None:
    monkeypatch.setattr(index, "EXHAUSTIVE_UP_TO", 100)
    assert type(index.make_search(thumbnails(100))) is ExhaustiveSearch
    assert type(index.make_search(thumbnails(104))) is index.IndexedSearch
