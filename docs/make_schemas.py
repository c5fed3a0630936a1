"""Write the JSON Schema of each file that other programs read, into docs/schemas/.

Run it by `python docs/make_schemas.py`.
"""

import json
from pathlib import Path

from pydantic import BaseModel

from gliascope.data.audit.facts import AuditFacts

MODELS: dict[str, type[BaseModel]] = {"audit": AuditFacts}
"""By name of the file that the model writes, without .json."""

FOLDER = Path(__file__).parent / "schemas"


def schema(model: type[BaseModel]) -> str:
    """Text of the JSON Schema of a model, as it is written to a file."""
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema(
        mode="serialization"
    )
    return json.dumps(content, indent=2) + "\n"


def main() -> None:
    """Write all schemas."""
    FOLDER.mkdir(exist_ok=True)
    for name, model in MODELS.items():
        (FOLDER / f"{name}.json").write_text(schema(model), encoding="utf-8")


if __name__ == "__main__":
    main()
