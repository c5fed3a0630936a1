"""The files of sources, and what their folders say of them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from gliascope import __version__
from gliascope.classes import TUMOR_KINDS, contradict, normalise
from gliascope.dataset.label_table import is_table, labels_in_source, load_label_table, looks_like_table
from gliascope.errors import LayoutError, ReadError
from gliascope.io import folder_labels, read
from gliascope.io.scales import SeriesScale
from gliascope.runtime.folders import files_below
from gliascope.runtime.paths import absolute, exists
from gliascope.runtime.resumable_map import Chunk, chunks


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source, its name from the source on, what its folders say, and the scale of its series."""

    path: Path
    root: Path
    name: str
    folder_labels: folder_labels.FolderLabels
    scale: SeriesScale | None = None


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
class SourceFiles:
    """Blocks of the files below `roots`, listed anew each time: many million would fill the memory.

    classes: by file name from the source on, what a table of labels says: class, and as written there.
    scales: names of those that are wanted, each with the scale of its series; without it, all are.
    """

    roots: Sequence[Path]
    mapping: Mapping[str, str | None]
    labels: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    scales: Mapping[str, SeriesScale] | None = None

    @classmethod
    def from_sources(cls, sources: Sequence[Path], labels_file: Path | None) -> "SourceFiles":
        """Files of source folders. Raises LayoutError for sources and labels that cannot be used.

        labels_file: a YAML mapping of folder names to classes, or a CSV with the class of each file.
        """
        roots = source_roots(sources)
        if labels_file is not None and looks_like_table(labels_file):
            return cls(roots, {}, load_label_table(labels_file, roots))
        return cls(roots, folder_labels.load_mapping(labels_file))

    def __iter__(self) -> Iterator[Chunk[SourceFile]]:
        made_by = json.dumps([__version__, sorted(self.mapping.items()), sorted(self.labels.items())])
        files = (
            file
            for root in self.roots
            for file in self.files_of_source(root)
            if not file.folder_labels.excluded
        )
        if (scales := self.scales) is not None:
            files = (replace(file, scale=scales[file.name]) for file in files if file.name in scales)
        return chunks(files, lambda file: file.path, made_by, lambda file: file.scale and file.scale.text)

    def files_of_source(self, root: Path) -> Iterator[SourceFile]:
        """Files of one source, those of excluded classes, too."""

        @cache
        def place(folder: Path) -> folder_labels.FolderLabels:
            # Where the source's own folder repeats the name above it, it is a collection's.
            repeated = folder_labels.is_collection(root.parent.name, root.name)
            collection = folder.parts == (root.name,) and repeated
            return (
                folder_labels.FolderLabels()
                if collection
                else folder_labels.labels_of_folders(folder.parts, self.mapping)
            )

        for path in files_below(root):
            below = path.relative_to(root.parent)
            name, said = below.as_posix(), place(below.parent)
            if name in self.labels:
                label, raw = self.labels[name]
                said = replace(said, label=label, raw_label=raw)
            yield SourceFile(path, root.parent, name, said)


def check_sources(files: SourceFiles) -> int:
    """Count them, before the long work starts.

    Raises LayoutError for a source without files, for folders that hold images but name no class, for one
    that a table beside it contradicts, and for names to be mapped that none of them has.
    """
    total, seen = 0, _Seen(files)
    for root in files.roots:
        some = False
        for file in files.files_of_source(root):
            some = True
            seen.add(file)
            total += not file.folder_labels.excluded
        if not some:
            raise LayoutError(f"{root}: no files; give a folder with one subfolder a class")
    seen.check()
    return total


class _Seen:
    """What a listing has shown."""

    def __init__(self, files: SourceFiles) -> None:
        self.files = files
        self.folders = set[str]()  # that name a class, as written
        self.places = set[str]()  # folders that a class may be named by, whole
        self.known = set[str]()
        self.nameless = Counter[str]()
        self.inside: dict[str, bool | None] = {}  # by such a folder: whether its files say their class
        self.classes: dict[Path, dict[str, str]] = {}  # of each source: class, and a folder that says so
        self.tables: list[tuple[Path, Path]] = []  # root and path

    def add(self, file: SourceFile) -> None:
        root, said = file.root / file.name.split("/")[0], file.folder_labels
        self.places.add(file.name.rpartition("/")[0])
        if is_table(file.path):
            self.tables.append((root, file.path))
        elif said.raw_label is not None and (said.excluded or said.label):
            if file.name not in self.files.labels:
                self.folders.add(said.raw_label)
            if said.label:
                self.known.add(f"{said.raw_label} -> {said.label}")
                self.classes.setdefault(root, {})[said.label] = said.raw_label
        else:
            folder = file.name.rpartition("/")[0]
            self.nameless[folder] += 1
            if self.inside.get(folder) is None:  # one readable file speaks for its folder
                self.inside[folder] = _says_its_label(file)

    def check(self) -> None:
        """Raise LayoutError for what is not understood."""
        folder_labels.check_folders(self.folders)
        unknown = [
            f"{folder} ({count} files)"
            for folder, count in self.nameless.items()
            if self.inside[folder] is False
        ]
        beside = "".join(f"; {path} may hold the classes: give it by --labels" for _, path in self.tables[:1])
        if unknown:
            raise LayoutError(
                f"unknown class folder: {'; '.join(unknown)}. "
                f"Understood here: {', '.join(sorted(self.known)) or 'none'}. "
                "Map each folder by --labels FILE.yaml, a line each: `folder name: class` "
                f"(null leaves it out){beside}"
            )
        self._check_mapping()
        for root, path in self.tables:
            self._check_table(root, path)

    def _check_table(self, root: Path, path: Path) -> None:
        """One class for all files of a source may be a guess, if a table there knows better."""
        classes = self.classes.get(root, {})
        if len(classes) != 1 or self.files.labels:
            return
        label, folder = next(iter(classes.items()))
        if normalise(folder) in self.files.mapping:
            return
        told = {one for one, _ in labels_in_source(path, root).values()}
        if any(contradict(label, one) for one in told):
            raise LayoutError(
                f"{root}: its folders say one class for all ({label}), but {path} names "
                f"{', '.join(sorted(told))}; say which counts: --labels with that table, or with "
                f"FILE.yaml and a line `{folder}: {label}`"
            )

    def _check_mapping(self) -> None:
        """A name that nothing has is misspelt."""
        has = {
            normalise(folder)
            for place in self.places
            for folder in place.split("/")[1 if "/" in place else 0 :]
        }
        if any(self.inside.values()):
            has |= set(TUMOR_KINDS)  # labels inside files are of them
        strangers = [name for name in self.files.mapping if name not in has]
        if strangers:
            raise LayoutError(
                f"--labels: no folder is named {strangers[0]!r} that could name a class; there are "
                f"{', '.join(sorted(self.folders)) or 'none'}"
            )


def _says_its_label(file: SourceFile) -> bool | None:
    """Whether it is an image that says its class; None where it cannot be read."""
    try:
        return read(file.path)[0].label is not None
    except ReadError:
        return None
