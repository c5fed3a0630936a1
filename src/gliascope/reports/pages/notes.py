"""What tests could not tell, each sentence once."""

from collections.abc import Mapping, Sequence


def merged_notes(notes: Mapping[str, Sequence[str]]) -> list[str]:
    """Sentences by protocol as sentences that name their protocols, where these are not all."""
    held: dict[str, list[str]] = {}
    for protocol, sentences in notes.items():
        for sentence in sentences:
            held.setdefault(sentence, []).append(protocol)
    return [
        sentence if len(protocols) == len(notes) else f"{', '.join(protocols)}: {sentence}"
        for sentence, protocols in held.items()
    ]
