"""Entries of the ledger, which counts how often a test subset was evaluated."""

from gliascope.commands.evaluated_model import EvaluatedModel
from gliascope.splits.ledger import LedgerEntry, ledger_entry
from gliascope.splits.split import Split


def ledger_entries(model: EvaluatedModel, split: Split, verb: str = "evaluate") -> list[LedgerEntry]:
    """Return the ledger entries of a model that is scored on the test subset of a split.

    If training watched the test subset, each of its epochs counts as an evaluation, too.

    Parameters
    ----------
    model
        The evaluated model.
    split
        The split whose test subset is scored.
    verb
        The command that scores it.
    """
    facts = model.facts()
    sha256 = facts.model.sha256
    watched = sum(row.test_accuracy is not None for row in facts.curves)
    training = [ledger_entry("train", model.name, sha256, split, times=watched)] if watched else []
    return [*training, ledger_entry(verb, model.name, sha256, split)]
