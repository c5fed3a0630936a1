"""Notes on the limits of several tests, each sentence once."""

from collections.abc import Mapping, Sequence


def merged_notes(notes: Mapping[str, Sequence[str]]) -> list[str]:
    """Merge notes by protocol; a sentence that not all protocols share gets the names of its protocols.

    Examples
    --------
    >>> merged_notes({"official": ["Few slices."], "grouped": ["Few slices.", "No AUROC."]})
    ['Few slices.', 'grouped: No AUROC.']
    """
    held: dict[str, list[str]] = {}
    for protocol, sentences in notes.items():
        for sentence in sentences:
            held.setdefault(sentence, []).append(protocol)
    return [
        sentence if len(protocols) == len(notes) else f"{', '.join(protocols)}: {sentence}"
        for sentence, protocols in held.items()
    ]
