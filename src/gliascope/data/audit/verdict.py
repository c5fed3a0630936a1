"""What may be believed of a model trained and tested on this set, in plain words."""

from typing import Any

FEW = 0.01  # share of the test set that may have been seen before it matters
CLUES = {
    "header": "what the file's header says",
    "border": "border and background",
    "source": "the name of the source",
}
STRONG = 0.5  # of the way from chance to certainty


def verdict(facts: dict[str, Any]) -> dict[str, Any]:
    """Key `verdict` of audit.json: the protocol to use, a level and plain sentences, the worst first.

    Levels: unsound (the usual test number means little), caution (believe it with the limits named), sound.
    """
    leaks = [sentence for name, source in facts["sources"].items() if (sentence := _leak(name, source))]
    wrong = [_folder(name, folder) for name, folder in facts["suspect_labels"].items() if folder["flagged"]]
    probes = facts["shortcuts"].items()
    give_aways = [_shortcut(name, probe) for name, probe in probes if name in CLUES and _gives_away(probe)]
    merged = [_between(row) for row in facts["between_sources"] if any(row["twins_any_transform"].values())]
    conflicts = facts["groups"]["mixed_labels"]
    doubts = [*give_aways, *merged]
    if conflicts:
        doubts.append(
            f"{conflicts} groups of copies carry more than one class: at least one label in each is wrong."
        )
    if not facts["label_check"]["done"]:
        doubts.append("No label was checked by a network: wrong folders would not have been seen.")
    level = "unsound" if leaks or wrong else "caution" if doubts else "sound"
    protocol = "grouped" if leaks or merged or wrong or not _has_test(facts) else "official"
    return {
        "level": level,
        "protocol": protocol,
        "sentences": [*leaks, *wrong, *doubts, _advice(protocol, facts)],
    }


def _leak(name: str, source: dict[str, Any]) -> str | None:
    n, seen = source["test_slices"], source["test_slices_with_training_twin_any_transform"]
    if not n or seen <= FEW * n:
        return None
    return (
        f"{name}: {seen:,} of its {n:,} test slices ({seen / n:.0%}) have a copy in its training folder. "
        "A model can remember them, so accuracy on this test set says little about new patients."
    )


def _folder(name: str, folder: dict[str, Any]) -> str:
    return (
        f"{name}: most likely mislabelled. {folder['suspects']:,} of {folder['slices']:,} slices look like "
        "another class to a model that does well elsewhere; no accuracy on this folder can be believed."
    )


def _gives_away(probe: dict[str, Any]) -> bool:
    low, chance = _score(probe)["low"], probe["chance"]
    return low is not None and low > chance + STRONG * (1 - chance)


def _score(probe: dict[str, Any]) -> dict[str, Any]:
    """What the probe reaches without the help of copies."""
    score: dict[str, Any] = probe["without_copies"] or probe["balanced_accuracy"]
    return score


def _shortcut(name: str, probe: dict[str, Any]) -> str:
    fact = f" (most of all by {probe['facts'][0]['name']})" if probe["facts"] else ""
    return (
        f"Without looking at the brain, {CLUES[name]} alone{fact} tells {probe['task']} at "
        f"{_score(probe)['value']:.0%} balanced accuracy, where chance is {probe['chance']:.0%}. "
        "A model can learn that instead of the disease."
    )


def _between(row: dict[str, Any]) -> str:
    shared = row["twins_any_transform"]
    counts = " and ".join(f"{n:,} slices of {name}" for name, n in shared.items())
    return f"{counts} are copies of one another: these sources are no independent test of each other."


def _has_test(facts: dict[str, Any]) -> bool:
    return any(source["test_slices"] for source in facts["sources"].values())


def _advice(protocol: str, facts: dict[str, Any]) -> str:
    if protocol == "official":
        return "Use --protocol official: its test folders share no copies with training."
    others = ",official-clean" if _has_test(facts) else ""
    return (
        f"Use --protocol {protocol}{others}: copies then stay on one side. Patients that no file "
        "names may still be on both; give them by --groups where you know them."
    )
