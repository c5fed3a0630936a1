"""Write the JSON Schema of each file that other programs read, into docs/schemas/.

Run it by `python docs/make_schemas.py`. The models are those that write and read the files.
"""

import json
from pathlib import Path

from pydantic import BaseModel

from gliascope.audit.facts import AuditFacts
from gliascope.reports.comparison import Comparison
from gliascope.reports.document import Document
from gliascope.reports.explanation import Explanation
from gliascope.reports.report import Report
from gliascope.reports.reproduction import Reproduction
from gliascope.reports.robustness import Robustness
from gliascope.reports.tuning import Tuning

DOCUMENTS: tuple[type[Document], ...] = (Report, Comparison, Robustness, Explanation, Tuning, Reproduction)
MODELS: dict[str, type[BaseModel]] = {"audit.json": AuditFacts} | {
    document.file: document for document in DOCUMENTS
}
"""By the name of the file that the model writes."""

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
        (FOLDER / name).write_text(schema(model), encoding="utf-8")


if __name__ == "__main__":
    main()
