"""Public names are in the field's words: old names do not come back, and some words are not used, or mean one thing.

`retired.txt` lists qualified names that were renamed, as `module:name`, where the module is today's.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
RETIRED = Path(__file__).with_name("retired.txt").read_text(encoding="utf-8").split()

# Words that say nothing to someone who knows nothing of us; the field has others for all of them.
UNUSED = {
    "aside", "beside", "disturbance", "disturbances", "found", "heard", "here", "judge", "judged", "judgement",
    "kept", "look", "looks", "made", "oddities", "piece", "pieces", "place", "places", "said", "suspects",
    "told", "upright", "weigh",
}  # fmt: skip
# Settings that users set by an environment variable of this name.
ALLOWED = {"gliascope.server.settings:Settings.jobs_kept"}
# Words of one meaning, and the packages that may name something by them.
ONE_MEANING = {
    "corruption": ("robustness", "commands", "evaluation", "reports"),  # as Hendrycks & Dietterich have it
    "fold": ("splits", "evaluation", "reports", "commands"),  # of a cross-validation, or of repeats
    "verdict": ("uncertainty", "inference", "evaluation", "reports", "commands", "server", "audit"),
}


def public_names() -> Iterator[tuple[str, str]]:
    """Module and qualified name of all that a module defines for others; parameters as `function.parameter`."""
    for file in sorted(SOURCE.rglob("*.py")):
        module = ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for name in _names(ast.parse(file.read_text(encoding="utf-8")), ""):
            yield module, name


def _names(scope: ast.AST, above: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.If | ast.Try):
            yield from _names(node, above)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_"):
                continue
            yield f"{above}{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from _names(node, f"{above}{node.name}.")
            else:
                parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                yield from (f"{above}{node.name}.{one.arg}" for one in parameters)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and not target.id.startswith("_"):
                    yield f"{above}{target.id}"


def words(name: str) -> set[str]:
    """The words of the last part of a name: `ClassHead.in_dim` has `in` and `dim`."""
    last = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name.rsplit(".", 1)[-1])
    return set(last.lower().split("_"))


def test_no_retired_name_has_come_back() -> None:
    known = {f"{module}:{name}" for module, name in public_names()}
    modules = {module for module, _ in public_names()}
    assert len(RETIRED) > 500
    assert not sorted(name for name in RETIRED if name in known or name in modules)


def test_names_do_without_words_of_our_own() -> None:
    used = {f"{module}:{name}" for module, name in public_names() if words(name) & UNUSED}
    assert sorted(used - ALLOWED) == []


@pytest.mark.parametrize("word", ONE_MEANING)
def test_words_of_one_meaning_stay_where_they_mean_it(word: str) -> None:
    used = {module for module, name in public_names() if word in words(name)}
    assert used, "no name has the word any more: take it off the list"
    assert {module.split(".")[1] for module in used} <= {*ONE_MEANING[word], "cli"}
