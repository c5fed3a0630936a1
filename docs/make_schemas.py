"""Write docs/schemas: what each file of results holds, as JSON Schema.

    python docs/make_schemas.py

The classes are those that write and read the files; a test holds the schemas against them.
"""

import json
from pathlib import Path

from gliascope.reports.comparison import Comparison
from gliascope.reports.document import Document
from gliascope.reports.explanation import Explanation
from gliascope.reports.report import Report
from gliascope.reports.reproduction import Reproduction
from gliascope.reports.robustness import Robustness
from gliascope.reports.tuning import Tuning

FOLDER = Path(__file__).parent / "schemas"
DOCUMENTS: tuple[type[Document], ...] = (Report, Comparison, Robustness, Explanation, Tuning, Reproduction)


def schemas() -> dict[str, str]:
    """The text of each schema by the name of its file."""
    return {
        document.file: json.dumps(document.model_json_schema(mode="serialization"), indent=2) + "\n"
        for document in DOCUMENTS
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in schemas().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
