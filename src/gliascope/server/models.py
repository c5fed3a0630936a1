"""Bundles side by side, each with its engine's thread, and replaced while they are used."""

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
"""Told of every run of a graph: the model's name, slices, seconds."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A Bundle's folder or .zip, and the name that clients choose it by."""

    name: str
    path: Path


@dataclass(slots=True, eq=False)
class ServedModel:
    """A Bundle, loaded. `users` are the requests and jobs that began with it and have not ended.

    reload_failed: why it is not what lies there now, if the last attempt to load that failed.
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
        """What clients choose it by."""
        return self.source.name

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the engine running inside, also when the model is replaced meanwhile."""
        self.uses += 1
        try:
            yield
        finally:
            self.uses -= 1
            self._close_if_unused()

    def retire(self) -> None:
        """End the engine's thread as soon as nobody uses it."""
        self.retired = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self.retired and self.uses == 0:
            self.batcher.close()


class ModelRegistry:
    """By name; the first is the default. Raises BundleError where one cannot be loaded."""

    def __init__(self, sources: Sequence[ModelSource], batch: int, on_run: OnRun) -> None:
        self._batch = batch
        self._on_run = on_run
        self._reloading = asyncio.Lock()
        self._models = {source.name: self._load(source) for source in sources}

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(list(self._models.values()))

    def get(self, name: str | None) -> ServedModel:
        """The model of that name, or the first. Raises ApiError where there is none."""
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            raise ApiError(404, "unknown_model", f"no such model; there are: {', '.join(self._models)}")
        return self._models[name]

    async def reload(self) -> dict[str, str]:
        """Load all again from where they lie; says of each what came of it.

        One that cannot be loaded keeps serving what it was. Each is swapped at once: whoever began with the
        old one ends with it.
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
        except Exception as error:  # whatever it is, the other models are loaded again
            old.reload_failed = _without(old.source.path, error)
            return f"failed: {old.reload_failed}"
        self._models[new.name] = new
        old.retire()
        return RELOADED

    def close(self) -> None:
        """End all engines' threads once they have finished what they were given."""
        for model in self:
            model.retire()

    def _load(self, source: ModelSource) -> ServedModel:
        bundle, card = _read(source.path)
        predictor = Predictor.load(bundle)
        _try(predictor, source.path)
        batcher = Batcher(
            predictor.engine, self._batch, lambda slices, seconds: self._on_run(source.name, slices, seconds)
        )
        return ServedModel(source, bundle, card, predictor, batcher)


def parse_sources(arguments: Sequence[str]) -> list[ModelSource]:
    """Sources of `NAME=BUNDLE` or `BUNDLE`, whose name is then its folder's, or for `bundle` the one above.

    Raises GliascopeError where two have one name.
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
            raise GliascopeError(f"two bundles are called {name}; name them: NAME=BUNDLE")
    return sources


def _name_of(path: Path) -> str:
    path = path.resolve()
    return path.parent.name if path.stem == "bundle" else path.stem


def _read(path: Path) -> tuple[Bundle, str | None]:
    return Bundle.load(path), read_card(path)


def _try(predictor: Predictor, path: Path) -> None:
    """Let it predict a black slice: a graph may load and still not be what bundle.json says."""
    black = np.zeros(predictor.info.preprocessing.shape, dtype=np.uint8)
    try:
        predictor.findings([PreparedSlice(Slice(black, path, 0, "png"), black)])
    except Exception as error:  # the runtime's own exceptions share no base class
        message = str(error).splitlines()[0]
        raise BundleError(f"{path}: the model does not run ({message}); make the bundle again") from None


def _without(path: Path, error: Exception) -> str:
    """The error's message, in one line and without the server's path."""
    message = str(error) if isinstance(error, GliascopeError) else f"{type(error).__name__}: {error}"
    return " ".join(message.replace(str(path), "the bundle").split())
