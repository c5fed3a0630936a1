"""Which looks at a test subset a model stands for."""

from gliascope.commands.evaluated_model import EvaluatedModel
from gliascope.splits.ledger import LedgerEntry, ledger_entry
from gliascope.splits.split import Split


def ledger_entries(model: EvaluatedModel, split: Split, verb: str = "evaluate") -> list[LedgerEntry]:
    """Lines of the ledger for a model that is scored on the test subset of `split`.

    Where training watched the test subset, each of its epochs was a look, too.
    """
    facts = model.facts()
    sha256 = facts.model.sha256
    watched = sum(row.test_accuracy is not None for row in facts.curves)
    training = [ledger_entry("train", model.name, sha256, split, watched)] if watched else []
    return [*training, ledger_entry(verb, model.name, sha256, split)]
