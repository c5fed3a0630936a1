"""The JSON Schemas in docs/ describe what the models write."""

import json

import pytest

from docs.make_schemas import FOLDER, MODELS, schema


@pytest.mark.parametrize("name", MODELS)
def test_the_schema_is_up_to_date(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == schema(MODELS[name]), "run python docs/make_schemas.py"


def test_there_is_a_schema_for_each_model_and_no_other() -> None:
    assert {file.name for file in FOLDER.iterdir()} == set(MODELS)


def test_the_schema_of_the_audit_has_the_keys_of_the_file() -> None:
    properties = json.loads((FOLDER / "audit.json").read_text(encoding="utf-8"))["properties"]
    assert {"sources", "between_sources", "suspect_labels", "oddities"} <= properties.keys()
    assert "label_issues" not in properties
