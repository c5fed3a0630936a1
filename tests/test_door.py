"""`import gliascope`: what it loads, and what it leaves alone."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import walkthrough

import gliascope

STATE = """
import json, logging, os, sys, warnings
before = set(sys.modules)
environment, filters = dict(os.environ), list(warnings.filters)
handlers, loggers = list(logging.root.handlers), dict(logging.root.manager.loggerDict)
import gliascope
loaded = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
unchanged = warnings.filters == filters and logging.root.handlers == handlers
unchanged = unchanged and logging.root.manager.loggerDict == loggers and logging.root.level == logging.WARNING
changed = {name: value for name, value in os.environ.items() if environment.get(name) != value}
print(json.dumps([loaded, unchanged, changed]))
"""


def run(program: str, folder: Path, **environment: str) -> str:
    without = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-W", "default", "-c", program]
    done = subprocess.run(
        command, cwd=folder, env=without | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_loads_nothing_and_changes_nothing_but_telemetry(tmp_path: Path) -> None:
    loaded, unchanged, changed = json.loads(run(STATE, tmp_path))
    assert set(loaded) <= set(sys.stdlib_module_names) | {"gliascope"}
    assert unchanged
    assert changed == {"ORT_DISABLE_TELEMETRY": "1"}
    *_, changed = json.loads(run(STATE, tmp_path, ORT_DISABLE_TELEMETRY="0"))
    assert changed == {}


def test_predicting_loads_no_torch_and_no_reader_that_it_does_not_need(tmp_path: Path) -> None:
    program = (
        "import gliascope, sys; gliascope.load('results').predict('scan.png'); "
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    loaded = run(program, walkthrough.write(tmp_path)).split()
    assert "onnxruntime" in loaded
    assert not {"torch", "timm", "lightning", "matplotlib", "sklearn", "scipy", "pydicom", "nibabel"} & set(
        loaded
    )


def test_what_type_checkers_see_is_what_there_is() -> None:
    """The static block, the table of lazy names and `__all__` say the same."""
    tree = ast.parse(Path(gliascope.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    static = {alias.name: node.module for node in block.body for alias in node.names}
    assert static == gliascope._MODULES
    assert {*static, "RESEARCH_USE", "__version__"} == set(gliascope.__all__)
    for name in gliascope.__all__:
        assert getattr(gliascope, name) is not None
        assert name in dir(gliascope)
    with pytest.raises(AttributeError, match="no attribute 'predcit'"):
        _ = gliascope.predcit
