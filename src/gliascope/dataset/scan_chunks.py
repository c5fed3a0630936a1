"""Tables that `scan` makes of blocks of files, and keeps for the catalogue's thumbnails."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from gliascope.dataset.catalog import THUMBNAILS_SCHEMA
from gliascope.runtime.resumable_map import read_results

_LENGTH = 8  # bytes that say how long the first table of a block is


def join_tables(table: bytes, members: bytes) -> bytes:
    """What is kept of a block: the table of its slices, and that of its members of series."""
    return len(table).to_bytes(_LENGTH, "little") + table + members


def split_tables(content: bytes) -> tuple[bytes, bytes]:
    """The two tables that were joined."""
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    return content[_LENGTH:end], content[end:]


@dataclass(slots=True)
class ChunkTables:
    """Blocks that a catalogue's thumbnails are in: in a folder, or, without one, in memory."""

    folder: Path | None
    keys: list[str] = field(default_factory=list)
    tables: list[bytes] = field(default_factory=list)

    def add(self, key: str, table: bytes) -> None:
        """Remember a block."""
        self.keys.append(key)
        if not self.folder:
            self.tables.append(table)

    def __iter__(self) -> Iterator[bytes]:
        if not self.folder:
            return iter(self.tables)
        return (split_tables(content)[0] for content in read_results(self.keys, self.folder))


def thumbnails_of(blocks: Iterable[bytes], hashes: pl.Series) -> Iterator[pl.DataFrame]:
    """Thumbnails of slices that are in the catalogue: those that were read twice may have others, too."""
    wanted = pl.DataFrame({"pixel_hash": hashes.unique()})
    for table in blocks:
        yield pl.read_ipc_stream(table, columns=list(THUMBNAILS_SCHEMA)).join(
            wanted, on="pixel_hash", how="semi", maintain_order="left"
        )
