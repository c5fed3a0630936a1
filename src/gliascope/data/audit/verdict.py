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
    leaks = _leaks(facts["sources"])
    wrong = [_folder(name, folder) for name, folder in facts["suspect_labels"].items() if folder["flagged"]]
    merged = [_between(row) for row in facts["between_sources"] if any(row["twins_any_transform"].values())]
    doubts = [*_shortcuts(facts["shortcuts"]), *merged]
    if conflicts := facts["groups"]["mixed_labels"]:
        doubts.append(
            f"{conflicts} groups of copies carry more than one class: at least one label in each is wrong."
        )
    if not facts["label_check"]["done"]:
        doubts.append("No label was checked by a network: wrong folders would not have been seen.")
    level = "unsound" if leaks or wrong else "caution" if doubts else "sound"
    has_test = any(source["test_slices"] for source in facts["sources"].values())
    protocol = "grouped" if leaks or merged or wrong or not has_test else "official"
    return {"level": level, "protocol": protocol, "sentences": [*leaks, *wrong, *doubts, *_advice(protocol)]}


def _leaks(sources: dict[str, Any]) -> list[str]:
    counts = []
    for name, source in sources.items():
        n, seen = source["test_slices"], source["test_slices_with_training_twin_any_transform"]
        if n and seen > FEW * n:
            counts.append(f"{name}: {seen:,} of its {n:,} test slices ({seen / n:.0%})")
    if not counts:
        return []
    return [
        f"{'; '.join(counts)} have a copy in the training folder. A model can remember them, so accuracy "
        "on them says little about new patients."
    ]


def _folder(name: str, folder: dict[str, Any]) -> str:
    return (
        f"{name}: look at this folder. A model that does well elsewhere agrees with "
        f"{folder['recall']:.0%} of its {folder['slices']:,} labels: many are wrong, or its slices are "
        "unlike all others. Until that is settled, no accuracy on it can be believed."
    )


def _gives_away(probe: dict[str, Any]) -> bool:
    low, chance = _score(probe)["low"], probe["chance"]
    return low is not None and low > chance + STRONG * (1 - chance)


def _score(probe: dict[str, Any]) -> dict[str, Any]:
    """What the probe reaches without the help of copies."""
    score: dict[str, Any] = probe["without_copies"] or probe["balanced_accuracy"]
    return score


def _shortcuts(probes: dict[str, Any]) -> list[str]:
    strong = {name: probe for name, probe in probes.items() if name in CLUES and _gives_away(probe)}
    if not strong:
        return []
    told = []
    for name, probe in strong.items():
        fact = f" (most of all {probe['facts'][0]['name']})" if len(probe["facts"]) > 1 else ""
        told.append(f"{CLUES[name]}{fact} at {_score(probe)['value']:.0%} balanced accuracy")
    first = next(iter(strong.values()))
    return [
        f"Without looking at the brain, {first['task']} can be told from {' and from '.join(told)}, where "
        f"chance is {first['chance']:.0%}. A model can learn that instead of the disease."
    ]


def _between(row: dict[str, Any]) -> str:
    shared = row["twins_any_transform"]
    counts = " and ".join(f"{n:,} slices of {name}" for name, n in shared.items())
    return f"{counts} are copies of one another: these sources are no independent test of each other."


def _advice(protocol: str) -> list[str]:
    if protocol == "official":
        return []
    return [
        "Patients that no file names may still be on both sides; give them by --groups where you know them."
    ]
