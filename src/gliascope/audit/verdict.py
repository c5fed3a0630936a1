"""The verdict of an audit: what may be believed of a model trained and tested on the audited set."""

from collections.abc import Mapping, Sequence

from gliascope.audit.facts import AuditVerdict, FolderLabels, ShortcutProbe, SourceFacts, SourceOverlap

TOLERATED_LEAK = 0.01  # share of the test slices that may have a copy in training
SHORTCUT_NAMES = {
    "header": "what the file's header says",
    "border": "border and background",
    "source": "the name of the source",
}
STRONG_SHORTCUT = 0.5  # of the way from chance to a balanced accuracy of 1


def make_verdict(
    *,
    sources: Mapping[str, SourceFacts],
    between_sources: Sequence[SourceOverlap],
    shortcuts: Mapping[str, ShortcutProbe],
    label_issues: Mapping[str, FolderLabels],
    mixed_label_groups: int,
    labels_checked: bool,
) -> AuditVerdict:
    """Choose the level, the split protocol and the sentences of the verdict.

    Leaks and flagged folders make the level unsound; overlapping sources, strong shortcuts, contradicting
    labels and unchecked labels make it caution.

    Parameters
    ----------
    sources
        Counts by source.
    between_sources
        What each two sources share.
    shortcuts
        Shortcut probes by name.
    label_issues
        Label check by folder.
    mixed_label_groups
        Number of groups of copies with more than one label.
    labels_checked
        Whether a network checked the labels.
    """
    leaks = _describe_leaks(sources)
    flagged = [_describe_folder(name, folder) for name, folder in label_issues.items() if folder.flagged]
    overlaps = [_describe_overlap(row) for row in between_sources if any(row.twins_any_transform.values())]
    doubts = [*_describe_shortcuts(shortcuts), *overlaps]
    if mixed_label_groups:
        doubts.append(
            f"{mixed_label_groups} groups of copies carry more than one class: at least one label in each is "
            "wrong."
        )
    if not labels_checked:
        doubts.append("No label was checked by a network: wrong folders would not have been seen.")
    has_test = any(source.test_slices for source in sources.values())
    by_groups = bool(leaks or overlaps or flagged or not has_test)
    advice = [
        "Patients that no file names may still be on both sides; give them by --groups where you know them."
    ]
    return AuditVerdict(
        level="unsound" if leaks or flagged else "caution" if doubts else "sound",
        protocol="grouped" if by_groups else "official",
        sentences=(*leaks, *flagged, *doubts, *(advice if by_groups else ())),
    )


def _describe_leaks(sources: Mapping[str, SourceFacts]) -> list[str]:
    counts = []
    for name, source in sources.items():
        n, leaked = source.test_slices, source.test_slices_with_training_twin_any_transform or 0
        if n and leaked > TOLERATED_LEAK * n:
            counts.append(f"{name}: {leaked:,} of its {n:,} test slices ({leaked / n:.0%})")
    if not counts:
        return []
    return [
        f"{'; '.join(counts)} have a copy in the training folder. A model can remember them, so accuracy "
        "on them says little about new patients."
    ]


def _describe_folder(name: str, folder: FolderLabels) -> str:
    return (
        f"{name}: look at this folder. A model that does well elsewhere agrees with "
        f"{folder.recall:.0%} of its {folder.slices:,} labels: many are wrong, or its slices are "
        "unlike all others. Until that is settled, no accuracy on it can be believed."
    )


def _is_strong(probe: ShortcutProbe) -> bool:
    low = probe.score.low
    return low is not None and low > probe.chance + STRONG_SHORTCUT * (1 - probe.chance)


def _describe_shortcuts(probes: Mapping[str, ShortcutProbe]) -> list[str]:
    strong = {name: probe for name, probe in probes.items() if name in SHORTCUT_NAMES and _is_strong(probe)}
    if not strong:
        return []
    clues = []
    for name, probe in strong.items():
        best = f" (most of all {probe.features[0].name})" if len(probe.features) > 1 else ""
        clues.append(f"{SHORTCUT_NAMES[name]}{best} at {probe.score.value:.0%} balanced accuracy")
    first = next(iter(strong.values()))
    return [
        f"Without looking at the brain, {first.task} can be told from {' and from '.join(clues)}, where "
        f"chance is {first.chance:.0%}. A model can learn that instead of the disease."
    ]


def _describe_overlap(overlap: SourceOverlap) -> str:
    shared = overlap.twins_any_transform
    counts = " and ".join(f"{n:,} slices of {name}" for name, n in shared.items())
    return f"{counts} are copies of one another: these sources are no independent test of each other."
