"""What each protocol promises of twins (identical slices), near copies and patients, counted on both sides."""

import hashlib

import numpy as np
import polars as pl
import pytest

from gliascope.audit.result import PAIRS_SCHEMA, Audit
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.merge import exclusion_reasons
from gliascope.splits.protocols import PROTOCOLS, TEST_SHARE
from gliascope.splits.split import Split, split

RELATIONS = ("twin", "near", "patient")
SLICES, SEEDS = 1600, 12


def hash_of(number: int) -> str:
    return hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()


@pytest.fixture(scope="module")
def planted() -> tuple[Catalog, Audit]:
    """A third of the slices are twins of one another, a tenth near copies, and a third have a patient.

    Which is which has nothing to do with source, official part or order.
    """
    random = np.random.default_rng(0)
    order = random.permutation(SLICES)
    content = np.arange(SLICES)
    twins = order[: SLICES // 3]
    content[twins] = twins[0] + 10_000 + np.arange(len(twins)) // 2
    near = order[SLICES // 3 : SLICES // 3 + SLICES // 10]
    patients = np.full(SLICES, -1)
    known = order[-SLICES // 3 :]
    patients[known] = np.arange(len(known)) // 4
    label = np.where(content % 2 == 0, "a", "b")  # twins agree
    frame = pl.DataFrame(
        {
            "root": "/",
            "source": np.where(random.random(SLICES) < 0.5, "s", "t"),
            "official": np.where(random.random(SLICES) < 0.2, "test", "train"),
            "index": 0,
            "path": [f"s/{number}.png" for number in range(SLICES)],
            "pixel_hash": [hash_of(number) for number in content],
            "label": label,
            "patient": [None if number < 0 else f"p{number}" for number in patients],
            "blank": False,
        }
    ).with_columns(
        study=pl.lit(None, pl.String),
        group=pl.lit(None, pl.String),
        kind=pl.lit(None, pl.String),
        fold=pl.lit(None, pl.Int32),
    )
    catalog = Catalog(frame.with_columns(exclusion_reason=exclusion_reasons(frame)), pl.DataFrame())
    pairs = [
        (*sorted((hash_of(a), hash_of(b))), 0.99, "flip", False)
        for a, b in zip(near[::2].tolist(), near[1::2].tolist(), strict=True)
    ]
    found = pl.DataFrame(pairs, PAIRS_SCHEMA, orient="row")
    audit = Audit({}, frame.select("pixel_hash").unique(), found, pl.DataFrame(), pl.DataFrame())
    return catalog, audit


def relations(frame: pl.DataFrame, catalog: Catalog, audit: Audit) -> dict[str, pl.Series]:
    """What each row shares with others, by relation; null where it shares nothing."""
    near = {
        name: number for number, pair in enumerate(audit.pairs.select("a", "b").iter_rows()) for name in pair
    }
    patient = dict(catalog.frame.select("path", "patient").iter_rows())
    return {
        "twin": frame["pixel_hash"],
        "near": frame["pixel_hash"].replace_strict(near, default=None),
        "patient": frame["path"].replace_strict(patient, default=None),
    }


def seen(keys: pl.Series, test: pl.Series, rest: pl.Series) -> int:
    """How many test slices share a key with one of the rest."""
    known = keys.filter(rest).drop_nulls().unique()
    return int((test & keys.is_in(known.implode()).fill_null(value=False)).sum())


def counted(made: Split, planted: tuple[Catalog, Audit], part: str = "test") -> dict[str, int]:
    """How many slices of `part` share something with those that train; under test, or validate."""
    own = made.frame["subset"] == part
    rest = made.frame["subset"] == "train" if part == "val" else ~own
    return {name: seen(keys, own, rest) for name, keys in relations(made.frame, *planted).items()}


def by_chance(planted: tuple[Catalog, Audit], draws: int = 200) -> dict[str, tuple[float, float]]:
    """Mean and sd of the same counts where slices are shuffled by NumPy, class by class."""
    frame = planted[0].frame
    found = relations(frame, *planted)
    random = np.random.default_rng(1)
    counts: dict[str, list[int]] = {name: [] for name in found}
    for _ in range(draws):
        place = np.empty(frame.height)
        for label in "ab":
            rows = np.flatnonzero((frame["label"] == label).to_numpy())
            place[rows] = (random.permutation(len(rows)) + 0.5) / len(rows)
        test = pl.Series(place < TEST_SHARE)
        for name, keys in found.items():
            counts[name].append(seen(keys, test, ~test))
    return {name: (float(np.mean(one)), float(np.std(one))) for name, one in counts.items()}


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if PROTOCOLS[name].disjoint == "groups"])
def test_no_twin_near_copy_or_patient_is_on_both_sides(protocol: str, planted: tuple[Catalog, Audit]) -> None:
    for seed in range(3):
        for made in split(planted[0], [protocol], seed=seed, audit=planted[1]):
            for part in ("test", "val"):
                assert counted(made, planted, part) == dict.fromkeys(RELATIONS, 0)


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if PROTOCOLS[name].disjoint == "copies"])
def test_no_twin_or_near_copy_is_on_both_sides(protocol: str, planted: tuple[Catalog, Audit]) -> None:
    for seed in range(3):
        for made in split(planted[0], [protocol], seed=seed, audit=planted[1]):
            found = counted(made, planted)
            assert found["twin"] == found["near"] == 0
            assert found["patient"] > 0


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if PROTOCOLS[name].disjoint == "slices"])
def test_as_many_are_on_both_sides_as_chance_or_the_source_has_it(
    protocol: str, planted: tuple[Catalog, Audit]
) -> None:
    """A true random draw: each seed within 4.5 sd of what chance gives, and so their mean."""
    made = [split(planted[0], [protocol], seed=seed, audit=planted[1])[0] for seed in range(SEEDS)]
    found = [counted(one, planted) for one in made]
    for name, (mean, sd) in {"official": official, "random": by_chance}[protocol](planted).items():
        counts = np.array([one[name] for one in found])
        assert mean > 15, "too few to tell"
        assert (np.abs(counts - mean) <= 4.5 * sd).all(), (name, mean, sd, counts)
        assert abs(counts.mean() - mean) <= 4.5 * sd / np.sqrt(SEEDS), (name, mean, sd, counts)


def official(planted: tuple[Catalog, Audit]) -> dict[str, tuple[float, float]]:
    """What the source's parts share, and not by chance."""
    frame = planted[0].frame
    test = frame["official"] == "test"
    return {name: (float(seen(keys, test, ~test)), 0.0) for name, keys in relations(frame, *planted).items()}
