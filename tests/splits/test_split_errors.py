"""The remedy fits the cause."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tiny import LABELS

from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.errors import SplitError
from gliascope.splits.split import split

Make = Callable[..., Path]


def patients(catalog: Catalog, number: int) -> Catalog:
    """The same slices, of so many patients a class."""
    place = pl.int_range(pl.len()).over("label") % number
    return Catalog(
        catalog.frame.with_columns(patient=pl.col("label") + place.cast(pl.String)), catalog.excluded
    )


def refusal(catalog: Catalog, protocol: str, **more: float) -> str:
    with pytest.raises(SplitError) as caught:
        split(catalog, [protocol], **more)  # type: ignore[arg-type]
    return str(caught.value)


def test_where_patients_are_few_slices_are_not_asked_for(make_source: Make) -> None:
    catalog = scan(
        [make_source({f"{part}/{label}": 8 for part in ("Training", "Testing") for label in LABELS})]
    )
    few = patients(catalog, 2)
    told = refusal(few, "grouped")
    assert "add slices" not in told
    assert "64 slices are of 8 groups" in told
    assert "add patients" in told
    assert "--protocol folds" in told


def test_where_a_larger_share_would_help_validation_is_named(make_source: Make) -> None:
    catalog = scan(
        [make_source({f"{part}/{label}": 8 for part in ("Training", "Testing") for label in LABELS})]
    )
    own = catalog.frame.with_columns(
        patient=pl.col("label") + (pl.int_range(pl.len()).over("label") % 4).cast(pl.String)
    )
    few = Catalog(own, catalog.excluded)
    told = refusal(few, "official", validation_share=0.01)
    assert "leaves no slice for val" in told
    assert "--validation" in told
    assert split(few, ["official"], validation_share=0.3)


def test_where_slices_are_few_they_are_asked_for(make_source: Make) -> None:
    catalog = scan([make_source({"glioma": 2, "notumor": 2})])
    assert "add slices" in refusal(catalog, "random")


def test_a_class_that_no_slice_trains_is_told_by_its_cause(make_source: Make) -> None:
    trees = {"Training/glioma": 8, "Training/notumor": 8, "Testing/pituitary": 2}
    told = refusal(scan([make_source(trees)]), "official")
    assert "class 'pituitary' is in test but not in training" in told
    assert "add training slices of it" in told
    catalog = scan([make_source({"glioma": 20, "notumor": 20, "pituitary": 6}, name="s")])
    one = pl.when(pl.col("label") == "pituitary").then(pl.lit("one"))
    alone = Catalog(catalog.frame.with_columns(patient=one), catalog.excluded)
    frame = alone.frame.with_columns(exclusion_reason=pl.lit(None, pl.String))
    for seed in range(3):
        try:
            split(Catalog(frame, catalog.excluded), ["grouped"], seed=seed)
        except SplitError as error:
            assert "pituitary" not in str(error) or "other patients of it" in str(error)
