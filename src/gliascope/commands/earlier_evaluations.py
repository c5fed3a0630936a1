"""Which looks at a test subset a model stands for."""

from gliascope.commands.evaluated_model import Model
from gliascope.splits.ledger import Look, look
from gliascope.splits.split import Split


def looks_of(model: Model, split: Split, verb: str = "evaluate") -> list[Look]:
    """Lines of the ledger for a model that is scored on the test subset of `split`.

    Where training watched the test subset, each of its epochs was a look, too.
    """
    facts = model.facts()
    sha256 = facts.model.sha256
    watched = sum(row.test_accuracy is not None for row in facts.curves)
    training = [look("train", model.name, sha256, split, watched)] if watched else []
    return [*training, look(verb, model.name, sha256, split)]
