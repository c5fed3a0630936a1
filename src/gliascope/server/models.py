"""The models of a server: loaded bundles, each with its batcher, that can be reloaded while in use."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from starlette.concurrency import run_in_threadpool

from gliascope.errors import BundleError, GliascopeError
from gliascope.inference.bundle import Bundle, read_card
from gliascope.inference.predict import Predictor, PreparedSlice
from gliascope.io.slices import Slice
from gliascope.server.api_error import ApiError
from gliascope.server.batching import Batcher

RELOADED, UNCHANGED = "reloaded", "unchanged"
OnRun = Callable[[str, int, float], None]
"""Called after every run of a graph with the model's name, the number of slices and the seconds."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A bundle to serve.

    Attributes
    ----------
    name
        Name by which clients choose the model.
    path
        The bundle's folder or .zip file.
    """

    name: str
    path: Path


@dataclass(slots=True, eq=False)
class ServedModel:
    """A loaded bundle.

    Attributes
    ----------
    source
        Name and path of the bundle.
    bundle, card
        Its content and its model card; None without a card.
    predictor
        The loaded graph with preprocessing and calibrator.
    batcher
        The thread that runs the graph.
    uses
        Number of requests and jobs that use the model.
    retired
        Whether another model has replaced it.
    reload_failed
        Why the last reload failed; None if it did not.
    """

    source: ModelSource
    bundle: Bundle
    card: str | None
    predictor: Predictor
    batcher: Batcher
    uses: int = 0
    retired: bool = False
    reload_failed: str | None = None

    @property
    def name(self) -> str:
        """Name by which clients choose the model."""
        return self.source.name

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the engine running during a `with` block, also if the model is replaced meanwhile."""
        self.uses += 1
        try:
            yield
        finally:
            self.uses -= 1
            self._close_if_unused()

    def retire(self) -> None:
        """End the engine's thread as soon as no request and no job uses the model."""
        self.retired = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self.retired and self.uses == 0:
            self.batcher.close()


class ModelRegistry:
    """All models of a server.

    Parameters
    ----------
    sources
        Bundles to load; the first is the default model.
    batch_slices
        Most slices in one run of a graph.
    on_run
        Called after every run of a graph, in the engine's thread.

    Raises
    ------
    BundleError
        If a bundle cannot be loaded.
    """

    def __init__(self, sources: Sequence[ModelSource], batch_slices: int, on_run: OnRun) -> None:
        self._batch_slices = batch_slices
        self._on_run = on_run
        self._reloading = asyncio.Lock()
        self._models = {source.name: self._load(source) for source in sources}

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(list(self._models.values()))

    def get(self, name: str | None) -> ServedModel:
        """Return the model of a name; None gives the default. Raises ApiError (404) if there is none."""
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            raise ApiError(404, "unknown_model", f"no such model; choose from {', '.join(self._models)}")
        return self._models[name]

    async def reload(self) -> dict[str, str]:
        """Load all bundles again.

        A model whose bundle cannot be loaded stays as it is. Requests and jobs that have begun with a model
        that is replaced end with it.

        Returns
        -------
        dict
            By model: "reloaded", "unchanged", or "failed: " and the reason.
        """
        async with self._reloading:
            return {model.name: await self._reload(model) for model in self}

    async def _reload(self, old: ServedModel) -> str:
        try:
            bundle, card = await run_in_threadpool(_read, old.source.path)
            if bundle == old.bundle and card == old.card:
                old.reload_failed = None
                return UNCHANGED
            new = await run_in_threadpool(self._load, old.source)
        except Exception as error:  # any exception: the other models must still be reloaded
            old.reload_failed = _without_path(old.source.path, error)
            return f"failed: {old.reload_failed}"
        self._models[new.name] = new
        old.retire()
        return RELOADED

    def close(self) -> None:
        """End the threads of all engines as soon as the models are no longer in use."""
        for model in self:
            model.retire()

    def _load(self, source: ModelSource) -> ServedModel:
        bundle, card = _read(source.path)
        predictor = Predictor.load(bundle)
        _check_runs(predictor, source.path)
        batcher = Batcher(
            predictor.engine,
            self._batch_slices,
            lambda slices, seconds: self._on_run(source.name, slices, seconds),
        )
        return ServedModel(source, bundle, card, predictor, batcher)


def parse_sources(arguments: Sequence[str]) -> list[ModelSource]:
    """Parse the bundles of a command line.

    Parameters
    ----------
    arguments
        `NAME=BUNDLE` or `BUNDLE` each. Without a name, the model is named after the bundle's folder or file,
        or after the folder above if that is called "bundle".

    Returns
    -------
    list of ModelSource
        In the order given.

    Raises
    ------
    GliascopeError
        If two models have the same name.
    """
    sources = []
    for argument in arguments:
        name, equals, path = argument.partition("=")
        # A path may hold an equals sign itself.
        if not equals or "/" in name or Path(argument).exists():
            name, path = "", argument
        sources.append(ModelSource(name or _name_of(Path(path)), Path(path)))
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise GliascopeError(f"two bundles are called {name}; give them names: NAME=BUNDLE")
    return sources


def _name_of(path: Path) -> str:
    path = path.resolve()
    return path.parent.name if path.stem == "bundle" else path.stem


def _read(path: Path) -> tuple[Bundle, str | None]:
    return Bundle.load(path), read_card(path)


def _check_runs(predictor: Predictor, path: Path) -> None:
    """Raise BundleError unless a black slice can be predicted: a graph that loads may still not fit."""
    black = np.zeros(predictor.info.preprocessing.shape, dtype=np.uint8)
    try:
        predictor.findings([PreparedSlice(Slice(black, path, 0, "png"), black)])
    except Exception as error:  # the runtime's own exceptions share no base class
        message = str(error).splitlines()[0]
        raise BundleError(f"{path}: the model does not run ({message}); make the bundle again") from None


def _without_path(path: Path, error: Exception) -> str:
    """Message of an error, in one line and without the path of the bundle."""
    message = str(error) if isinstance(error, GliascopeError) else f"{type(error).__name__}: {error}"
    return " ".join(message.replace(str(path), "the bundle").split())
