import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gliascope.audit.decisions import Decisions
from gliascope.audit.result import DECISIONS_SCHEMA, PAIRS_SCHEMA, Audit
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.groups import number_groups
from gliascope.dataset.merge import exclusion_reasons
from gliascope.dataset.scan import scan
from gliascope.errors import LayoutError, SplitError
from gliascope.splits.protocols import PROTOCOLS
from gliascope.splits.split import Split, load_splits, split, write_splits

Make = Callable[..., Path]


def catalog_of(rows: list[dict]) -> Catalog:
    """A catalogue with the columns that splitting reads."""
    base = {"root": "/", "source": "s", "official": None, "patient": None, "study": None, "kind": None}
    base |= {"group": None, "index": 0, "fold": None, "blank": False}
    full = [base | {"path": f"s/{n}.png", "pixel_hash": f"{n:032x}"} | row for n, row in enumerate(rows)]
    types = dict.fromkeys(("official", "patient", "study", "group", "kind"), pl.String) | {"fold": pl.Int32}
    frame = pl.DataFrame(full, schema_overrides=types)
    if frame.height:
        frame = frame.with_columns(exclusion_reason=exclusion_reasons(frame))
    return Catalog(frame, pl.DataFrame())


def audit_of(catalog: Catalog, *pairs: tuple[str, str]) -> Audit:
    """An audit that found these pixel hashes to be copies."""
    rows = [(min(pair), max(pair), 0.99, "flip", False) for pair in pairs]
    frame = pl.DataFrame(rows, schema=PAIRS_SCHEMA, orient="row")
    return Audit({}, catalog.frame.select("pixel_hash").unique(), frame, pl.DataFrame(), pl.DataFrame())


def one(catalog: Catalog, protocol: str, seed: int = 0) -> Split:
    return split(catalog, [protocol], seed=seed)[0]


def many(count: int, **columns: Callable[[int], object]) -> list[dict]:
    return [{name: value(n) for name, value in columns.items()} for n in range(count)]


def test_groups_join_patients_studies_files_and_identical_pixels_transitively() -> None:
    frame = catalog_of(
        [
            {"label": "a", "patient": "p1"},
            {"label": "a", "patient": "p1", "pixel_hash": "x" * 32},
            {"label": "a", "patient": "p2", "pixel_hash": "x" * 32},
            {"label": "a", "patient": "p2", "group": "g"},  # the CSV adds to what the file says
            {"label": "a"},
            {"label": "a", "group": "g"},
            {"label": "a", "study": "t"},
            {"label": "a", "study": "t", "path": "s/volume.nii"},
            {"label": "a", "path": "s/volume.nii"},
        ]
    ).frame
    assert number_groups(frame).tolist() == [0, 0, 0, 0, 1, 0, 2, 2, 2]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_contract_every_protocol_fills_all_parts_with_all_classes_and_repeats_itself(protocol: str) -> None:
    rows = many(
        600,
        label=lambda n: "ab"[n % 2],
        source=lambda n: "st"[n // 300],
        official=lambda n: "test" if n % 5 == 0 else "train",
        patient=lambda n: f"p{n // 5}" if n % 5 else None,
    )
    catalog = catalog_of(rows)
    audit = audit_of(catalog, (f"{0:032x}", f"{2:032x}"))
    first, again, other = (split(catalog, [protocol], seed=seed, audit=audit) for seed in (3, 3, 4))
    assert [a.frame.equals(b.frame) for a, b in zip(first, again, strict=True)] == [True] * len(first)
    assert not any(a.frame.equals(b.frame) for a, b in zip(first, other, strict=True))
    assert [a.training_hash == b.training_hash for a, b in zip(first, again, strict=True)] == [True] * len(
        first
    )
    for round_ in first:
        assert round_.protocol == protocol
        for part in ("train", "val", "test"):
            assert set(round_.subset(part)["label"]) == {"a", "b"}
    if protocol not in ("official", "official-clean", "random"):
        for round_ in first:
            assert round_.frame.group_by("group").agg(pl.col("subset").n_unique())["subset"].max() == 1


def test_grouped_cuts_no_group_and_keeps_shares() -> None:
    rows = many(3000, label=lambda n: "abc"[n // 1000], patient=lambda n: f"p{n // 7}")
    frame = one(catalog_of(rows), "grouped").frame
    assert frame.group_by("group").agg(pl.col("subset").n_unique())["subset"].max() == 1
    for label in "abc":
        shares = dict(frame.filter(pl.col("label") == label)["subset"].value_counts(normalize=True).rows())
        assert shares["train"] == pytest.approx(0.7, abs=0.02)
        assert shares["val"] == pytest.approx(0.15, abs=0.02)
        assert shares["test"] == pytest.approx(0.15, abs=0.02)


def test_the_order_of_the_files_changes_nothing() -> None:
    rows = many(
        200, label=lambda n: "ab"[n % 2], path=lambda n: f"s/{n}.png", pixel_hash=lambda n: f"{n:032x}"
    )
    forth, back = (one(catalog_of(list(order)), "grouped").frame for order in (rows, reversed(rows)))
    assert forth.sort("path").select("path", "subset").equals(back.sort("path").select("path", "subset"))


def test_a_known_split_stays_as_it_is() -> None:
    """Guards the promise across versions and machines: these parts were drawn once and written down."""
    rows = many(20, label=lambda n: "ab"[n % 2])
    parts = one(catalog_of(rows), "grouped", seed=0).frame["subset"].to_list()
    assert [n for n, part in enumerate(parts) if part == "test"] == [0, 15]
    assert [n for n, part in enumerate(parts) if part == "val"] == [3, 6, 12, 17]


def test_official_keeps_the_sources_test_and_cuts_validation_by_group() -> None:
    rows = many(
        300,
        label=lambda n: "ab"[n % 2],
        official=lambda n: "test" if n < 50 else "train",
        patient=lambda n: f"p{n // 6}" if n >= 60 else None,
    )
    frame = one(catalog_of(rows), "official").frame
    assert frame["subset"].to_list()[:50] == ["test"] * 50
    later = frame[60:]
    assert later.group_by("group").agg(pl.col("subset").n_unique())["subset"].max() == 1
    assert (later["subset"] == "val").mean() == pytest.approx(0.10, abs=0.03)


def test_official_uses_the_sources_own_validation() -> None:
    rows = many(60, label=lambda n: "ab"[n % 2], official=lambda n: ("train", "val", "test")[n % 3])
    frame = one(catalog_of(rows), "official").frame
    assert frame["subset"].to_list() == ["train", "val", "test"] * 20


def test_errors_name_the_remedy(make_source: Make) -> None:
    with pytest.raises(SplitError, match="choose from official, official-clean, grouped"):
        one(catalog_of([]), "offical")
    with pytest.raises(SplitError, match="--protocol grouped"):
        one(scan([make_source({"yes": 5, "no": 5}, name="flat")]), "official")
    tree = {"Training/glioma": 9, "Training/notumor": 9, "Testing/glioma": 2, "Testing/pituitary": 2}
    with pytest.raises(SplitError, match="class 'pituitary' is in test but not in training"):
        one(scan([make_source(tree, name="lacking")]), "official")
    with pytest.raises(SplitError, match="too few"):
        one(catalog_of(many(4, label=lambda n: "ab"[n % 2])), "grouped")


def test_official_clean_leaves_out_test_slices_with_a_copy_in_training_or_validation() -> None:
    rows = many(100, label=lambda n: "ab"[n % 2], official=lambda n: "test" if n < 20 else "train")
    rows[0]["pixel_hash"] = rows[50]["pixel_hash"] = "f" * 32
    catalog = catalog_of(rows)
    audit = audit_of(catalog, (f"{1:032x}", f"{60:032x}"), (f"{2:032x}", f"{3:032x}"))
    official, clean = split(catalog, ["official", "official-clean"], seed=0, audit=audit)
    assert official.training_hash == clean.training_hash  # one training serves both
    gone = set(official.subset("test")["path"]) - set(clean.subset("test")["path"])
    assert gone == {"s/0.png", "s/1.png"}
    with pytest.raises(SplitError, match="add --audit DIR"):
        split(catalog, ["official-clean"])


def test_near_copies_are_of_one_group_and_identical_slices_count_once() -> None:
    rows = many(200, label=lambda n: "ab"[n % 2])
    rows[8]["pixel_hash"] = rows[10]["pixel_hash"] = "e" * 32
    catalog = catalog_of(rows)
    audit = audit_of(catalog, *((f"{0:032x}", f"{n:032x}") for n in range(20, 60, 2)))
    (grouped,) = split(catalog, ["grouped"], seed=0, audit=audit)
    assert grouped.frame.height == 199
    assert (
        grouped.frame.filter(pl.col("path").is_in(["s/0.png", "s/20.png", "s/58.png"]))["subset"].n_unique()
        == 1
    )


def test_folds_of_the_groups_file_are_kept_and_slices_without_one_are_not_used() -> None:
    rows = many(90, label=lambda n: "ab"[n % 2], fold=lambda n: n % 3 + 1 if n < 80 else None)
    folds = split(catalog_of(rows), ["folds"])
    assert [fold.fold_name for fold in folds] == ["fold 1", "fold 2", "fold 3"]
    tested = pl.concat([fold.subset("test") for fold in folds])
    assert sorted(tested["path"]) == sorted(f"s/{n}.png" for n in range(80))
    assert set(folds[1].subset("test")["path"]) == {f"s/{n}.png" for n in range(80) if n % 3 == 1}


def test_a_copy_in_another_fold_of_the_file_does_not_train() -> None:
    rows = many(90, label=lambda n: "ab"[n % 2], fold=lambda n: n % 3 + 1)
    catalog = catalog_of(rows)
    audit = audit_of(catalog, (f"{3:032x}", f"{4:032x}"))  # of folds 1 and 2
    first, second, third = split(catalog, ["folds"], seed=0, audit=audit)
    assert "s/3.png" in first.subset("test")["path"].to_list()
    assert "s/4.png" not in first.frame["path"].to_list()
    assert "s/3.png" not in second.frame["path"].to_list()
    assert {"s/3.png", "s/4.png"} <= set(third.frame["path"])


def test_a_fold_of_a_copy_that_was_set_aside_counts() -> None:
    rows = many(90, label=lambda n: "ab"[n % 2], fold=lambda n: n % 3 + 1 if n else None)
    rows[0]["pixel_hash"] = rows[2]["pixel_hash"] = "a" * 32
    third = split(catalog_of(rows), ["folds"])[2]
    assert "s/0.png" in third.subset("test")["path"].to_list()


def test_blank_slices_join_nothing() -> None:
    rows = many(4, label=lambda n: "ab"[n % 2], pixel_hash=lambda _: "0" * 32, blank=lambda _: True)
    frame = catalog_of(rows).frame
    assert number_groups(frame).tolist() == [0, 1, 2, 3]
    assert frame["exclusion_reason"].null_count() == 4


def test_drawn_folds_test_every_slice_once() -> None:
    folds = split(
        catalog_of(many(300, label=lambda n: "ab"[n % 2], patient=lambda n: f"p{n // 4}")), ["folds"]
    )
    assert len(folds) == 5
    tested = pl.concat([fold.subset("test") for fold in folds])
    assert tested.height == tested["path"].n_unique() == 300


def test_leaving_a_source_out_leaves_out_what_the_others_share_with_it() -> None:
    rows = many(200, label=lambda n: "ab"[n % 2], source=lambda n: "st"[n // 100])
    rows[150]["pixel_hash"] = rows[50]["pixel_hash"] = "d" * 32
    catalog = catalog_of(rows)
    audit = audit_of(catalog, (f"{1:032x}", f"{101:032x}"))
    without_s, without_t = split(catalog, ["leave-source-out"], seed=0, audit=audit)
    assert without_s.fold_name == "without s"
    assert set(without_s.subset("test")["source"]) == {"s"}
    assert without_s.subset("test").height == without_t.subset("test").height == 100
    assert not {"s/1.png", "s/50.png"} & set(without_t.frame["path"])
    assert not {"s/101.png", "s/150.png"} & set(without_s.frame["path"])
    with pytest.raises(SplitError, match="two sources"):
        split(catalog_of(many(9, label=lambda n: "ab"[n % 2])), ["leave-source-out"])


def test_leaving_a_source_out_leaves_out_classes_of_one_source_alone(capsys) -> None:
    rows = many(300, label=lambda n: "ab"[n % 2], source=lambda n: "stu"[n // 100])
    for n in (3, 103, 105):  # two sources have c, s alone has d, u has neither
        rows[n]["label"] = "c"
    rows[5]["label"] = "d"
    rounds = split(catalog_of(rows), ["leave-source-out"])
    assert [made.fold_name for made in rounds] == ["without s", "without t", "without u"]
    assert {made.classes for made in rounds} == {("a", "b", "c")}
    assert rounds[0].subset("test")["label"].unique().sort().to_list() == ["a", "b", "c"]
    assert rounds[2].subset("test")["label"].unique().sort().to_list() == ["a", "b"]
    assert "class 'd' is left out: s alone has it" in capsys.readouterr().err


def test_leaving_a_source_out_leaves_out_rounds_that_training_cannot_serve(capsys) -> None:
    rows = many(300, label=lambda n: "ab"[n % 2], source=lambda n: "stu"[n // 100])
    rows[1]["label"] = rows[101]["label"] = "c"  # copies of one another: neither can train for the other
    for n in range(200, 300):
        rows[n]["label"] = "d"
    catalog = catalog_of(rows)
    audit = audit_of(catalog, (f"{1:032x}", f"{101:032x}"))
    with pytest.raises(SplitError, match=r"leaves no fold: .* --protocol grouped"):
        split(catalog, ["leave-source-out"], seed=0, audit=audit)
    told = capsys.readouterr().err
    assert "no fold without s: no 'c' is left to train with" in told
    assert "no fold without u: no other source has a class of it" in told
    rows[3]["label"] = "c"  # trains for t's
    (made,) = split(catalog_of(rows), ["leave-source-out"], seed=0, audit=audit)
    assert made.fold_name == "without t"


def test_leaving_a_source_out_needs_two_classes_that_sources_share() -> None:
    kinds = many(60, label=lambda n: "ab"[n % 2], source=lambda _: "s")
    binary = many(60, label=lambda n: "bc"[n % 2], source=lambda _: "t", path=lambda n: f"t/{n}.png")
    for n, row in enumerate(binary):
        row["pixel_hash"] = f"{100 + n:032x}"
    with pytest.raises(SplitError, match="the sources have a, b, c: name them alike by --labels"):
        split(catalog_of(kinds + binary), ["leave-source-out"])


def test_a_split_without_an_audit_says_so_to_whoever_reads_of_it(capsys, tmp_path: Path) -> None:
    catalog = catalog_of(many(60, label=lambda n: "ab"[n % 2], official=lambda n: "test" if n < 9 else None))
    official, grouped = split(catalog, ["official", "grouped"])
    assert "No audit was given" in grouped.description
    assert official.description == PROTOCOLS["official"].description
    assert "--audit DIR" in capsys.readouterr().err
    audited = split(catalog, ["official", "grouped"], seed=0, audit=audit_of(catalog))
    assert audited[1].description == PROTOCOLS["grouped"].description
    assert "audit" not in capsys.readouterr().err
    write_splits([official, grouped], tmp_path / "split.parquet")
    assert [made.description for made in load_splits(tmp_path / "split.parquet")] == [
        official.description, grouped.description
    ]  # fmt: skip


def test_decisions_drop_relabel_join_and_part(tmp_path: Path) -> None:
    catalog = catalog_of(many(60, label=lambda n: "ab"[n % 2]))
    audit = audit_of(catalog, (f"{4:032x}", f"{6:032x}"))
    rows = [
        {"kind": "suspect_label", "path": "s/0.png", "label": "a", "action": "drop"},
        {"kind": "conflict", "path": "s/1.png", "label": "b", "action": "relabel", "new_label": "A"},
        {"kind": "suspect_label", "path": "s/2.png", "label": "a", "action": "keep"},
        {"kind": "pair", "path": "s/3.png", "other_path": "s/5.png", "action": "same"},
        {"kind": "pair", "path": "s/4.png", "other_path": "s/6.png", "action": "different"},
    ]
    frame = pl.DataFrame([{"index": 0, "other_index": 0} | row for row in rows], schema=DECISIONS_SCHEMA)
    # As a spreadsheet leaves it: a further column, an empty line, capitals.
    edited = frame.with_columns(remark=pl.lit("seen")).write_csv().replace(",drop,", ", Drop ,")
    (tmp_path / "decisions.csv").write_text(edited + "," * frame.width + "\n")
    decisions = Decisions.load(tmp_path / "decisions.csv")
    (made,) = split(catalog, ["random"], seed=0, audit=audit, decisions=decisions)
    by_path = {row["path"]: row for row in made.frame.iter_rows(named=True)}
    assert "s/0.png" not in by_path
    assert by_path["s/1.png"]["label"] == "a"
    assert by_path["s/2.png"]["label"] == "a"
    assert by_path["s/3.png"]["group"] == by_path["s/5.png"]["group"]
    assert by_path["s/4.png"]["group"] != by_path["s/6.png"]["group"]
    assert made.decisions is not None
    counts = "1 different, 1 drop, 1 keep, 1 relabel, 1 same"
    assert made.decisions.startswith(f"Decisions of decisions.csv: {counts}; SHA-256 ")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"kind": "pair", "action": "drop"}, "line 2: expected an action of a pair"),
        ({"kind": "conflict", "action": "relabel"}, "line 2: relabel needs a class"),
        (
            {"kind": "conflict", "action": "relabel", "new_label": "aa"},
            "'aa' is no class .* choose from a, b",
        ),
        ({"kind": "pair", "other_path": "s/1.png", "action": "same"}, "add --audit DIR"),
        ({"kind": "suspect_label", "path": "elsewhere.png", "action": "drop"}, "not in this catalogue"),
    ],
)
def test_decisions_that_make_no_sense_are_refused(row: dict, message: str, tmp_path: Path) -> None:
    base = {"path": "s/0.png", "index": 0, "label": "a"}
    pl.DataFrame([base | row], schema=DECISIONS_SCHEMA).write_csv(tmp_path / "decisions.csv")
    with pytest.raises((LayoutError, SplitError), match=message):
        split(
            catalog_of(many(60, label=lambda n: "ab"[n % 2])),
            ["random"],
            decisions=Decisions.load(tmp_path / "decisions.csv"),
        )


def test_two_new_classes_for_one_slice_are_refused(tmp_path: Path) -> None:
    row = {"kind": "conflict", "path": "s/0.png", "index": 0, "label": "a", "action": "relabel"}
    rows = [row | {"new_label": label} for label in "ba"]
    pl.DataFrame(rows, schema=DECISIONS_SCHEMA).write_csv(tmp_path / "decisions.csv")
    catalog = catalog_of(many(60, label=lambda n: "ab"[n % 2]))
    with pytest.raises(LayoutError, match="is to become b and a; keep one"):
        split(catalog, ["random"], decisions=Decisions.load(tmp_path / "decisions.csv"))


def test_a_line_of_decisions_with_nothing_but_a_remark_is_none(tmp_path: Path) -> None:
    """It ended in a traceback."""
    head = f"{','.join(DECISIONS_SCHEMA)},remark\n"
    rows = ",,,,,,,,,,seen by M.\nsuspect_label,s/0.png,0,a,,,,0.5,delete,,\n"
    (tmp_path / "decisions.csv").write_text(head + rows)
    with pytest.raises(LayoutError, match="line 3: expected an action of a suspect_label"):
        Decisions.load(tmp_path / "decisions.csv")
    (tmp_path / "decisions.csv").write_text(head + rows.replace("delete", "drop"))
    assert Decisions.load(tmp_path / "decisions.csv").frame.height == 1


def test_a_catalogue_of_which_all_is_set_aside_is_named_so(make_source: Make) -> None:
    """Two folders of the same slices left nothing, and a traceback."""
    source = make_source({"glioma": 3})
    shutil.copytree(source / "glioma", source / "meningioma")
    with pytest.raises(SplitError, match="no slice is left to divide"):
        split(scan([source]))


def test_a_split_survives_its_file(make_source: Make, tmp_path: Path) -> None:
    made = one(scan([make_source({"yes": 20, "no": 20})]), "grouped")
    write_splits([made], tmp_path / "split.parquet")
    (loaded,) = load_splits(tmp_path / "split.parquet")
    assert loaded.frame.equals(made.frame)
    assert loaded.classes == ("no_tumor", "tumor")
    assert loaded.class_numbers("train").tolist() == [
        ("no_tumor", "tumor").index(label) for label in loaded.subset("train")["label"]
    ]


def test_repeats_draw_again_by_the_seeds_that_follow_and_keep_the_first() -> None:
    catalog = catalog_of(many(400, label=lambda n: "ab"[n % 2], patient=lambda n: f"p{n // 4}"))
    once, twice = (split(catalog, ["folds", "random"], seed=5, repeats=repeats) for repeats in (1, 2))
    names = [(made.protocol, made.fold_name) for made in twice]
    folds = [f"fold {n}" for n in range(1, 6)]
    assert names == [
        *(("folds", name) for name in folds),
        *(("folds", f"repeat 2, {name}") for name in folds),
        ("random", ""),
        ("random", "repeat 2"),
    ]
    kept = [made for made in twice if "repeat" not in made.fold_name]
    assert all(one.frame.equals(other.frame) for one, other in zip(once, kept, strict=True))
    assert {made.seed for made in twice if "repeat" in made.fold_name} == {6}
    alone = split(catalog, ["folds"], seed=6)
    assert [made.training_hash for made in twice[5:10]] == [made.training_hash for made in alone]
    assert not {made.training_hash for made in once} & {made.training_hash for made in twice[5:10]}
    # A group is the same in every drawing, so that pooled intervals count it once.
    groups = [made.frame.select("path", "group").sort("path") for made in (twice[0], twice[5])]
    assert groups[0].equals(groups[1])


def test_a_protocol_that_draws_nothing_is_not_repeated() -> None:
    given = {0: "train", 1: "train", 2: "val", 3: "test"}
    catalog = catalog_of(many(80, label=lambda n: "ab"[n // 40], official=lambda n: given[n % 4]))
    with pytest.raises(SplitError, match="'official' draws nothing here: leave out --repeats"):
        split(catalog, ["official"], repeats=2)


def test_decisions_as_spreadsheets_write_them(tmp_path: Path) -> None:
    head = {
        "kind": "suspect_label",
        "path": "s/0.png",
        "index": 0,
        "label": "a",
        "evidence": 0.5,
        "action": "drop",
    }
    frame = pl.DataFrame([head], schema=DECISIONS_SCHEMA)
    text = frame.write_csv(separator=";").replace("0.5", "0,5").replace("s/0", "s\\0")
    (tmp_path / "decisions.csv").write_bytes(text.encode("utf-16"))
    found = Decisions.load(tmp_path / "decisions.csv").frame
    assert found.select("path", "evidence", "action").row(0) == ("s/0.png", 0.5, "drop")
