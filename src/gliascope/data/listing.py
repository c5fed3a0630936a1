"""The files of sources, and what their folders say of them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from gliascope import __version__
from gliascope.data import labels
from gliascope.data.blocks import Block, blocks
from gliascope.data.folders import files_below
from gliascope.data.places import absolute, exists
from gliascope.data.read import read
from gliascope.data.read.scales import Scale
from gliascope.errors import LayoutError, ReadError


@dataclass(frozen=True, slots=True)
class File:
    """A file of a source, its name from the source on, what its folders say, and the scale of its series."""

    path: Path
    root: Path
    name: str
    place: labels.Place
    scale: Scale | None = None


def source_roots(sources: Sequence[Path]) -> list[Path]:
    """Absolute source folders. Raises LayoutError for one that is missing, or two of one name."""
    roots = [absolute(source) for source in sources]
    twice = [name for name, count in Counter(root.name for root in roots).items() if count > 1]
    if twice:
        raise LayoutError(f"two sources are named {twice[0]!r}; rename one folder, names tell sources apart")
    for root in roots:
        if not root.name:
            raise LayoutError(f"{root}: has no name, by which sources are told apart; name a folder in it")
        if not (exists(root) and root.is_dir()):
            raise LayoutError(f"{root}: not a folder; give the folder that holds the slices")
    return roots


@dataclass(frozen=True, slots=True)
class Files:
    """Blocks of the files below `roots`, listed anew each time: many million would fill the memory.

    scales: names of those that are wanted, each with the scale of its series; without it, all are.
    """

    roots: Sequence[Path]
    mapping: Mapping[str, str | None]
    scales: Mapping[str, Scale] | None = None

    def __iter__(self) -> Iterator[Block[File]]:
        made_by = json.dumps([__version__, sorted(self.mapping.items())])
        files = (file for root in self.roots for file in self.below(root) if not file.place.excluded)
        if (scales := self.scales) is not None:
            files = (replace(file, scale=scales[file.name]) for file in files if file.name in scales)
        return blocks(files, lambda file: file.path, made_by, lambda file: file.scale and file.scale.text)

    def below(self, root: Path) -> Iterator[File]:
        """Files of one source, those of excluded classes, too."""

        @cache
        def place(folder: Path) -> labels.Place:
            return labels.place(folder.parts, self.mapping)

        for path in files_below(root):
            below = path.relative_to(root.parent)
            yield File(path, root.parent, below.as_posix(), place(below.parent))


def check_files(files: Files) -> int:
    """Count them, before the long work starts.

    Raises LayoutError for a source without files, and for folders that hold images but name no class.
    """
    known, nameless, unknown = set[str](), Counter[str](), dict[str, bool | None]()
    total = 0
    for root in files.roots:
        some = False
        for file in files.below(root):
            some = True
            if file.place.excluded:
                continue
            total += 1
            if file.place.label:
                known.add(f"{file.place.raw_label} -> {file.place.label}")
                continue
            folder = file.name.rpartition("/")[0]
            nameless[folder] += 1
            if unknown.get(folder) is None:  # one readable file speaks for its folder
                unknown[folder] = _is_unlabelled(file)
        if not some:
            raise LayoutError(f"{root}: no files; give a folder with one subfolder a class")
    named = [f"{folder} ({count} files)" for folder, count in nameless.items() if unknown[folder]]
    if named:
        raise LayoutError(
            f"unknown class folder: {'; '.join(named)}. "
            f"Understood here: {', '.join(sorted(known)) or 'none'}. "
            "Map each folder by --labels FILE.yaml, a line each: `folder name: class` (null leaves it out)"
        )
    return total


def _is_unlabelled(file: File) -> bool | None:
    """Whether it is an image that does not say its class; None where it cannot be read."""
    try:
        return read(file.path)[0].label is None
    except ReadError:
        return None
