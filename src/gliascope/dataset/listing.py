"""The files of source folders, and the labels that the names of their folders state."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from gliascope import __version__
from gliascope.classes import TUMOR_KINDS, are_exclusive, normalise_name
from gliascope.dataset.label_table import is_table, labels_in_source, load_label_table, resembles_table
from gliascope.errors import LayoutError, ReadError
from gliascope.io import folder_labels, read
from gliascope.io.scales import SeriesScale
from gliascope.runtime.folders import files_below
from gliascope.runtime.paths import absolute, exists
from gliascope.runtime.resumable_map import Chunk, make_chunks


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source folder.

    Parameters
    ----------
    path
        Where it is.
    root
        Parent of the source folder.
    name
        Path from `root` on, with forward slashes.
    folder_labels
        What the names of its folders state.
    scale
        The intensity scale of its series, if it is not the file's own.
    """

    path: Path
    root: Path
    name: str
    folder_labels: folder_labels.FolderLabels
    scale: SeriesScale | None = None


def source_roots(sources: Sequence[Path]) -> list[Path]:
    """Return the absolute paths of source folders.

    Raises
    ------
    LayoutError
        If a folder is missing, has no name, or has the same name as another.
    """
    roots = [absolute(source) for source in sources]
    twice = [name for name, count in Counter(root.name for root in roots).items() if count > 1]
    if twice:
        raise LayoutError(f"two sources are named {twice[0]!r}; rename one folder, names tell sources apart")
    for root in roots:
        if not root.name:
            raise LayoutError(f"{root}: has no name, by which sources are distinguished; name a folder in it")
        if not (exists(root) and root.is_dir()):
            raise LayoutError(f"{root}: not a folder; give the folder that holds the slices")
    return roots


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """The files below source folders, in chunks. Each iteration lists the files again, to save memory.

    Parameters
    ----------
    roots
        Absolute source folders.
    mapping
        The user's mapping of folder names to classes; None leaves a folder out.
    labels
        By file name from the source on: the class that a table of labels gives, and as written there.
    scales
        If given, only these files are listed, each with the scale of its series.
    """

    roots: Sequence[Path]
    mapping: Mapping[str, str | None]
    labels: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    scales: Mapping[str, SeriesScale] | None = None

    @classmethod
    def from_sources(cls, sources: Sequence[Path], labels_file: Path | None) -> "SourceFiles":
        """Make the listing of some source folders.

        Parameters
        ----------
        sources
            Source folders.
        labels_file
            YAML that maps folder names to classes, or a table with the class of each file.

        Raises
        ------
        LayoutError
            If a source or the file of labels cannot be used.
        """
        roots = source_roots(sources)
        if labels_file is not None and resembles_table(labels_file):
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
        return make_chunks(
            files, lambda file: file.path, made_by, lambda file: file.scale and file.scale.text
        )

    def files_of_source(self, root: Path) -> Iterator[SourceFile]:
        """Yield the files of one source folder, also those of classes that the user leaves out."""

        @cache
        def labels_of(folder: Path) -> folder_labels.FolderLabels:
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
            name, labels = below.as_posix(), labels_of(below.parent)
            if name in self.labels:
                label, raw = self.labels[name]
                labels = replace(labels, label=label, raw_label=raw)
            yield SourceFile(path, root.parent, name, labels)


def check_sources(files: SourceFiles) -> int:
    """Count the files of the sources before the long work starts, and check their labels.

    Returns
    -------
    int
        How many files will be read.

    Raises
    ------
    LayoutError
        If a source has no files, images lie in folders that name no class, a table in a source contradicts
        its folders, or the user's mapping names a folder that does not exist.
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
    """What a listing of the sources has shown so far."""

    def __init__(self, files: SourceFiles) -> None:
        self.files = files
        self.folders = set[str]()  # that name a class, as written
        self.label_folders = set[str]()  # folders that a class may be named by, whole
        self.known = set[str]()
        self.nameless = Counter[str]()
        self.inside: dict[str, bool | None] = {}  # by such a folder: whether its files say their class
        self.classes: dict[Path, dict[str, str]] = {}  # of each source: class, and a folder that says so
        self.tables: list[tuple[Path, Path]] = []  # root and path

    def add(self, file: SourceFile) -> None:
        """Record one file."""
        root, labels = file.root / file.name.split("/")[0], file.folder_labels
        self.label_folders.add(file.name.rpartition("/")[0])
        if is_table(file.path):
            self.tables.append((root, file.path))
        elif labels.raw_label is not None and (labels.excluded or labels.label):
            if file.name not in self.files.labels:
                self.folders.add(labels.raw_label)
            if labels.label:
                self.known.add(f"{labels.raw_label} -> {labels.label}")
                self.classes.setdefault(root, {})[labels.label] = labels.raw_label
        else:
            folder = file.name.rpartition("/")[0]
            self.nameless[folder] += 1
            if self.inside.get(folder) is None:  # one readable file speaks for its folder
                self.inside[folder] = _says_its_label(file)

    def check(self) -> None:
        """Raise LayoutError for class folders and names that are not understood."""
        folder_labels.check_folder_names(self.folders)
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
        """Raise LayoutError if a source's folders name one class and a table in it names another."""
        classes = self.classes.get(root, {})
        if len(classes) != 1 or self.files.labels:
            return
        label, folder = next(iter(classes.items()))
        if normalise_name(folder) in self.files.mapping:
            return
        named = {one for one, _ in labels_in_source(path, root).values()}
        if any(are_exclusive(label, one) for one in named):
            raise LayoutError(
                f"{root}: its folders say one class for all ({label}), but {path} names "
                f"{', '.join(sorted(named))}; say which counts: --labels with that table, or with "
                f"FILE.yaml and a line `{folder}: {label}`"
            )

    def _check_mapping(self) -> None:
        """Raise LayoutError for a name of the user's mapping that no folder has: it is misspelt."""
        has = {
            normalise_name(folder)
            for folder_path in self.label_folders
            for folder in folder_path.split("/")[1 if "/" in folder_path else 0 :]
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
    """Return whether a file is an image that holds its class itself; None if it cannot be read."""
    try:
        return read(file.path)[0].label is not None
    except ReadError:
        return None
