"""Tables that `scan` makes of chunks of files, and reads again for the catalogue's thumbnails."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from gliascope.dataset.catalog import THUMBNAILS_SCHEMA
from gliascope.runtime.resumable_map import read_results

_LENGTH = 8  # bytes that say how long the first table of a chunk is


def join_tables(table: bytes, members: bytes) -> bytes:
    """Join the table of a chunk's slices and that of its series members to one result."""
    return len(table).to_bytes(_LENGTH, "little") + table + members


def split_tables(content: bytes) -> tuple[bytes, bytes]:
    """Split the result of `join_tables` into its two tables."""
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    return content[_LENGTH:end], content[end:]


@dataclass(slots=True)
class ChunkTables:
    """The tables that hold a catalogue's thumbnails: in a folder, or in memory if there is none."""

    folder: Path | None
    keys: list[str] = field(default_factory=list)
    tables: list[bytes] = field(default_factory=list)

    def add(self, key: str, table: bytes) -> None:
        """Remember the table of one chunk."""
        self.keys.append(key)
        if not self.folder:
            self.tables.append(table)

    def __iter__(self) -> Iterator[bytes]:
        if not self.folder:
            return iter(self.tables)
        return (split_tables(content)[0] for content in read_results(self.keys, self.folder))


def thumbnails_of(tables: Iterable[bytes], hashes: pl.Series) -> Iterator[pl.DataFrame]:
    """Yield the thumbnails of slices that are in the catalogue.

    Files that were read twice may have left thumbnails of other pixels, which are skipped.

    Parameters
    ----------
    tables
        Tables of chunks, in Arrow's stream format.
    hashes
        Pixel hashes of the catalogue's slices.
    """
    wanted = pl.DataFrame({"pixel_hash": hashes.unique()})
    for table in tables:
        yield pl.read_ipc_stream(table, columns=list(THUMBNAILS_SCHEMA)).join(
            wanted, on="pixel_hash", how="semi", maintain_order="left"
        )
