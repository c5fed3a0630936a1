import csv
import hashlib
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gliascope.errors import GliascopeError
from gliascope.synthetic import LABELS, write_phantoms


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_written_source(tmp_path):
    write_phantoms(tmp_path / "a", per_class=11, size=64)
    source = tmp_path / "a" / "synthetic"
    notice = (tmp_path / "a" / "NOTICE.txt").read_text()
    assert "synthetic" in notice
    assert "no patient" in notice
    for label in LABELS:
        training, testing = (sorted((source / part / label).iterdir()) for part in ("Training", "Testing"))
        assert (len(training), len(testing)) == (9, 2)
        assert {path.name for path in training + testing} == {
            f"phantom-{label}-{number:05d}.jpg" for number in range(11)
        }
        with Image.open(training[0]) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "L", (64, 64))
            assert image.info["comment"] == b"synthetic: gliascope phantom"


def test_groups_hold_a_few_slices_of_one_class_and_part(tmp_path):
    write_phantoms(tmp_path / "a", per_class=11, size=64)
    groups = defaultdict(list)
    with (tmp_path / "a" / "groups.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            groups[row["group"]].append(Path(row["path"]))
    listed = [str(path) for paths in groups.values() for path in paths]
    assert sorted(listed) == sorted(name for name in digests(tmp_path / "a") if name.endswith(".jpg"))
    for paths in groups.values():
        assert len(paths) <= 4
        assert len({path.parent for path in paths}) == 1
    assert np.mean([len(paths) for paths in groups.values()]) > 1.5


def test_every_slice_with_a_lesion_has_its_outline(tmp_path):
    write_phantoms(tmp_path / "a", per_class=4, seed=2, size=64)
    with (tmp_path / "a" / "masks.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["label"] for row in rows} == set(LABELS) - {"no_tumor"}
    assert len(rows) == 12
    with (tmp_path / "a" / "groups.csv").open(newline="") as stream:
        groups = {row["path"]: row["group"] for row in csv.DictReader(stream)}
    for row in rows:
        assert groups[row["path"]] == row["group"]
        with (
            Image.open(tmp_path / "a" / row["path"]) as image,
            Image.open(tmp_path / "a" / row["mask"]) as mask,
        ):
            inside, outside = np.asarray(mask), np.asarray(image) == 0
            assert inside.shape == outside.shape
            assert inside.any() and (inside & outside).sum() < inside.sum() / 4  # in the head, not beside it


def test_writing_again_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_phantoms(tmp_path / name, per_class=3, seed=seed, size=48)
    write_phantoms(tmp_path / "c", per_class=2, seed=1, size=48)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    first, other = digests(tmp_path / "a"), digests(tmp_path / "c")
    assert len(other) == len(first) - 7  # a slice less of each class, and three outlines
    assert {first[name] for name in first if name.endswith(".jpg")}.isdisjoint(other.values())


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "NOTICE.txt").write_text("mine")
    with pytest.raises(GliascopeError, match="something other than phantoms"):
        write_phantoms(tmp_path, per_class=2, size=48)
    assert [path.name for path in tmp_path.iterdir()] == ["NOTICE.txt"]


def test_too_few_for_two_parts(tmp_path):
    with pytest.raises(GliascopeError, match="ask for 2 or more"):
        write_phantoms(tmp_path / "a", per_class=1)
