"""The audit against facts known of the public sets, and against copies planted by the benchmark itself."""

import json
import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from benchmarks.measure import Row, gliascope, python
from gliascope.dataset.catalog import Catalog
from tests.planted import KINDS

PLANTED = 1000
SIZES = os.environ.get("AUDIT_SIZES", "10000,20000,50000,100000")
TARGETS = {"cropped by 2.5 %": "≥ 0.95", "cropped by 5 %": "as high as it goes"}


def known_sets(data: Path, work: Path) -> list[Row]:
    """The counts of data/README.md, out of the tool."""
    catalog, out = work / "both.parquet", work / "audit"
    gliascope("scan", data / "masoud7023", data / "sartaj3264", "--out", catalog, cache=work / "cache")
    outcome = gliascope("audit", catalog, "--out", out, "--no-check-labels", cache=work / "cache")
    facts = json.loads((out / "audit.json").read_text())
    rows = [
        (
            "`audit` of 10,287 slices without the label check",
            f"{outcome.seconds:.0f} s, {outcome.peak_gib:.1f} GiB",
            "< 120 s",
        )
    ]
    known = {"masoud7023": (6636, 153, 501), "sartaj3264": (2910, 173, 259)}
    keys = ("distinct_files", "identical_groups_across_splits", "test_slices_with_training_twin")
    for name, expected in known.items():
        source = facts["sources"][name]
        for key, value in zip(keys, expected, strict=True):
            rows.append((f"`audit`: {name}, {key}", f"{source[key]}", f"{value}"))
        key = "test_slices_with_training_twin_any_transform"
        rows.append((f"`audit`: {name}, {key}", f"{source[key]} of {source['test_slices']}", ""))
    shared = facts["between_sources"][0]["identical_files"]
    rows += [(f"`audit`: files of {name} in the other set", f"{n}", "") for name, n in shared.items()]
    return [*rows, *_control(data, out)]


def _control(data: Path, out: Path) -> list[Row]:
    """Pairs of slices whose patients are known to differ (they are in different folds) are no copies."""
    frame = pl.read_parquet(out.parent / "both.parquet", columns=["path", "pixel_hash"])
    known = pl.read_csv(data / "figshare_folds.csv").select(
        path="dataset_path", fold="official_patient_fold_1to5"
    )
    fold = dict(frame.join(known, on="path").select("pixel_hash", "fold").iter_rows())
    pairs = pl.read_parquet(out / "pairs.parquet")
    wrong = sum(fold[a] != fold[b] for a, b in pairs.select("a", "b").iter_rows() if a in fold and b in fold)
    sizes = Counter(fold.values())
    different = (sum(sizes.values()) ** 2 - sum(size**2 for size in sizes.values())) // 2
    what = "`audit`: pairs of different patients (different figshare folds) taken for copies"
    return [(what, f"{wrong} of {different:,}", "")]


def planted(data: Path, work: Path) -> list[Row]:
    """Copies of slices that are no copies of each other: how many are found, and who is wrongly joined."""
    groups = pl.read_parquet(work / "audit" / "groups.parquet")
    frame = pl.read_parquet(work / "both.parquet", columns=["root", "path", "pixel_hash"])
    apart = frame.join(groups, on="pixel_hash").unique("group", keep="first", maintain_order=True)
    chosen = apart.sample(PLANTED, seed=0)
    source = work / "planted"
    for number, (root, path) in enumerate(chosen.select("root", "path").iter_rows()):
        image = Image.open(Path(root) / path).convert("L")
        for kind, copy in {"original": lambda image: image, **KINDS}.items():
            folder = source / ("yes" if number % 2 else "no")
            folder.mkdir(parents=True, exist_ok=True)
            copy(image).save(folder / f"{number:04}-{kind}.png")
    gliascope("scan", source, "--out", work / "planted.parquet", cache=work / "cache")
    gliascope(
        "audit", work / "planted.parquet", "--out", work / "planted-audit", "--no-check-labels",
        cache=work / "cache",
    )  # fmt: skip
    return _score(work)


def _score(work: Path) -> list[Row]:
    rows = pl.read_parquet(work / "planted.parquet").select("pixel_hash", "path").iter_rows()
    names: dict[str, tuple[str, str]] = {}
    for pixels, path in rows:
        number, kind = Path(path).stem.split("-", 1)
        names[pixels] = (number, kind)
    pairs = pl.read_parquet(work / "planted-audit" / "pairs.parquet").select("a", "b").iter_rows()
    found = [(names[a], names[b]) for a, b in pairs]
    right = sum(a[0] == b[0] for a, b in found)
    hits: Counter[str] = Counter()
    for a, b in found:
        kinds = {a[1], b[1]}
        if a[0] == b[0] and "original" in kinds:
            hits[(kinds - {"original"}).pop()] += 1
    table = [
        (f"planted copies, {kind}: recall", f"{hits[kind] / PLANTED:.3f}", TARGETS.get(kind, "≥ 0.99"))
        for kind in KINDS
    ]
    return [*table, ("planted copies: precision of pairs", f"{right / len(found):.4f}", "≥ 0.995")]


def sizes(data: Path, work: Path) -> list[Row]:
    """The search for copies on growing sets of thumbnails, each a mixture of two real ones.

    As many as AUDIT_SIZES in the environment says; above 200,000 by the index.
    """
    rows = []
    for count in map(int, SIZES.split(",")):
        outcome = python("-m", "benchmarks.audit", work / "both.parquet", count, cache=work / "cache")
        each = outcome.seconds / count * 1000
        target = "< 3 GiB" if count == 100_000 else ""
        core = f"{outcome.processor:.0f} s of a core"
        measured = f"{outcome.seconds:.0f} s, {core}, {each:.2f} ms a slice, {outcome.peak_gib:.2f} GiB"
        rows.append((f"search for copies among {count:,} thumbnails", measured, target))
    return rows


def _search(catalog: Path, count: int) -> None:
    from gliascope.audit.copies import find_near_copies

    frame = _mixed(catalog, count)
    began = time.perf_counter()
    find_near_copies(frame)
    print(time.perf_counter() - began)


def _mixed(catalog: Path, count: int) -> pl.DataFrame:
    """As many thumbnails, each a mixture of two of the catalogue's; made in batches, for a low peak."""
    from gliascope.audit.copies import thumbnail_array
    from gliascope.audit.vectors import batches

    real = Catalog.load(catalog).with_thumbnails()
    pixels = {name: thumbnail_array(real[name]) for name in ("thumbnail", "head_thumbnail")}
    first, second = np.random.default_rng(0).integers(0, real.height, (2, count))
    parts = []
    for batch in batches(count):
        columns = {"pixel_hash": [f"{n:032x}" for n in range(count)[batch]]}
        for name, grey in pixels.items():
            mixed = grey[first[batch]] * np.float32(0.6) + grey[second[batch]] * np.float32(0.4)
            columns[name] = [image.tobytes() for image in mixed.astype(np.uint8)]
        parts.append(pl.DataFrame(columns))
    return pl.concat(parts)


if __name__ == "__main__":
    import sys

    _search(Path(sys.argv[1]), int(sys.argv[2]))
