import pytest
import yaml
from pydantic import ValidationError

from gliascope import classes
from gliascope.download import PublicSet, find_public_set, public_sets
from gliascope.errors import DownloadError
from gliascope.io import folder_labels

SETS = public_sets()


@pytest.mark.parametrize("name", SETS)
def test_contract_of_every_set(name: str, tmp_path) -> None:
    public = SETS[name]
    home = str(public.home)
    assert home.startswith("https://")
    if public.kaggle:
        # The page and the handle are of one set.
        assert home == f"https://www.kaggle.com/datasets/{public.kaggle}"
    else:
        assert home.endswith(f"/{public.figshare}")
    assert set(public.overlaps) <= set(SETS) - {name}
    assert len(set(public.classes)) == len(public.classes)
    # `scan` understands the labels as `fetch` writes them, and knows every class folder with their help.
    file = tmp_path / "labels.yaml"
    file.write_text(yaml.safe_dump(dict(public.labels)))
    mapping = folder_labels.load_mapping(file)
    assert mapping == {
        classes.normalise_name(k): v and classes.canonical_class(v) for k, v in public.labels.items()
    }
    told = {value for value in mapping.values() if value}
    for folder in public.classes:
        place = folder_labels.labels_of_folders(("set", folder), mapping)
        known = place.label or place.excluded or classes.canonical_class(folder) in told
        # figshare's files carry their own class.
        assert known or public.figshare, f"{folder} is no class that scan knows"
    names = {
        folder_labels.labels_of_folders(("set", folder), mapping).label or classes.canonical_class(folder)
        for folder in public.classes
    }
    if not any(
        folder_labels.labels_of_folders(("set", folder), mapping).excluded for folder in public.classes
    ):
        classes.check_tumor_kinds(names)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        DownloadError, match=r"unknown set 'nowhere'; choose from masoudnickparvar, .*figshare-cheng"
    ):
        find_public_set("nowhere")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kaggle": "no-slash"},
        {"kaggle": "a/b/c"},
        {"kaggle": "a/b/versions/0"},
        {"kaggle": None},
        {"figshare": 12},
        {"name": "Name with spaces"},
        {"home": "no address"},
        {"classes": ["one"]},
        {"slices": 0},
        {"licence": " "},
        {"colour": "red"},
    ],
)
def test_a_wrong_entry_is_refused(wrong: dict[str, object]) -> None:
    right = {"name": "n", "title": "t", "home": "https://host/a/b", "classes": ["a", "b"], "kaggle": "a/b"}
    PublicSet(**right)
    with pytest.raises(ValidationError):
        PublicSet(**right | wrong)
