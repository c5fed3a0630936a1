"""The ledger: one line for each evaluation of a model on a test subset.

A test subset measures a model only as long as nobody selects models by it. Each evaluation is therefore
recorded, and a report states how many other models were scored on the same test slices before.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gliascope.runtime.progress import note
from gliascope.splits.split import Split

LEDGER_FILE = "ledger.jsonl"
SHARED_LEDGER_VARIABLE = "GLIASCOPE_LEDGER"  # names one more ledger, shared by result folders that lie apart


class LedgerEntry(BaseModel):
    """One line of the ledger: which model was scored on which test subset, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: str = Field(description="ISO 8601, UTC")
    verb: str = Field(description="the command that scored the slices")
    name: str = Field(description="of the recipe, or of the file that predictions came from")
    model: str = Field(description="SHA-256 of the exported model, or of the file of predictions")
    protocol: str
    fold_name: str = Field(description="of a protocol with several, like fold 2; else empty")
    test: str = Field(description="hash of the content of the test slices, whatever their labels and order")
    slices: int = Field(ge=1)
    times: int = Field(default=1, ge=1, description="more than 1 where training watched the test subset")


class EarlierEvaluations(BaseModel):
    """What a report states on earlier evaluations on the test subset of a protocol.

    Parameters
    ----------
    models
        How many other models were scored on the same slices before.
    first
        Date of the first of these evaluations.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: int = 0
    first: str | None = None

    def __str__(self) -> str:
        if not self.models:
            return "No earlier evaluation on these test slices is on record."
        others = "1 other model was" if self.models == 1 else f"{self.models} other models were"
        return (
            f"{others} scored on these test slices before, first on {(self.first or '')[:10]}. "
            "Whoever chose among them by that score has seen the test."
        )


def ledger_entry(verb: str, name: str, model: str, split: Split, *, times: int = 1) -> LedgerEntry:
    """Make the ledger's line for a model that is scored now.

    Parameters
    ----------
    verb
        The command that scores it.
    name
        Name of the recipe, or of the file of predictions.
    model
        SHA-256 of the exported model, or of the file of predictions.
    split
        Its test subset is evaluated.
    times
        How many evaluations this was; more than 1 if training watched the test subset.
    """
    slices = sorted(split.subset("test")["pixel_hash"])
    return LedgerEntry(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        verb=verb,
        name=name,
        model=model,
        protocol=split.protocol,
        fold_name=split.fold_name,
        test=hashlib.blake2b("\t".join(slices).encode(), digest_size=10).hexdigest(),
        slices=len(slices),
        times=times,
    )


def record(folder: Path, entries: Sequence[LedgerEntry]) -> dict[str, EarlierEvaluations]:
    """Append entries to the ledgers, and return the earlier evaluations by protocol.

    Earlier evaluations are read from the ledgers in `folder`, in the folders beside it, and from the file
    that the environment variable GLIASCOPE_LEDGER names. Earlier entries of the models in `entries` are not
    counted, because a repeated evaluation tells nothing new.

    Parameters
    ----------
    folder
        Where results are written.
    entries
        The evaluations made now.

    Raises
    ------
    OSError
        If the ledger in `folder` cannot be written. If the shared ledger cannot, a note is printed.
    """
    shared = [Path(os.environ[SHARED_LEDGER_VARIABLE])] if os.environ.get(SHARED_LEDGER_VARIABLE) else []
    beside = sorted(folder.absolute().parent.glob(f"*/{LEDGER_FILE}"))
    earlier = {one for file in dict.fromkeys([*beside, *shared]) for one in read_ledger(file)}
    own = {one.model for one in entries}
    found = {}
    for protocol in dict.fromkeys(one.protocol for one in entries):
        tests = {one.test for one in entries if one.protocol == protocol}
        others = [one for one in earlier if one.test in tests and one.model not in own]
        found[protocol] = EarlierEvaluations(
            models=len({one.model for one in others}), first=min((one.date for one in others), default=None)
        )
    _append(folder / LEDGER_FILE, entries)
    for file in shared:
        try:
            _append(file, entries)
        except OSError as error:  # after the work: what was measured is not lost for it
            note(
                f"{SHARED_LEDGER_VARIABLE}: {file} cannot be written ({error.strerror}); "
                f"this evaluation is only in {folder / LEDGER_FILE}"
            )
    return found


def read_ledger(file: Path) -> list[LedgerEntry]:
    """Read a ledger; return no entries if there is no file. A note names each line that cannot be read."""
    found = []
    for number, line in enumerate(_lines(file), start=1):
        try:
            found.append(LedgerEntry.model_validate_json(line))
        except ValidationError:
            note(f"{file}: line {number} is no evaluation on a test subset; it is not counted")
    return found


def _lines(file: Path) -> Iterable[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").split("\n") if line]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        note(f"{file}: cannot be read ({error}); its evaluations are not counted")
        return []


def _append(file: Path, entries: Sequence[LedgerEntry]) -> None:
    """Append entries in one write, so that lines of two processes do not mix."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as stream:
        stream.write("".join(f"{one.model_dump_json()}\n" for one in entries).encode())
