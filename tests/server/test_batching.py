import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from quadrants import quadrant_bundle

from gliascope.inference.engine import Engine, Outputs
from gliascope.server.batching import Batcher


class Slow:
    """An engine that records its batches, and can be made to wait."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.running = threading.Event()

    def __call__(self, pixels: np.ndarray) -> Outputs:
        self.running.set()
        assert self.go_on.wait(10)
        self.runs.append(pixels[:, 0, 0].tolist())
        values = pixels[:, :1, 0].astype(np.float32)
        if 255 in values:
            raise RuntimeError("the graph fails")
        return Outputs(values, {}, None)


def slices(*values: int) -> np.ndarray:
    return np.stack([np.full((2, 2), value, dtype=np.uint8) for value in values])


def batching(use: Callable[[Batcher, Slow], Awaitable[None]], size: int = 4) -> Slow:
    """Use a batcher with a Slow engine; returns the engine."""
    engine = Slow()

    async def main() -> None:
        batcher = Batcher(engine, size, lambda slices, seconds: None)
        try:
            await use(batcher, engine)
        finally:
            engine.go_on.set()
            batcher.close()

    asyncio.run(main())
    return engine


async def busy(batcher: Batcher, engine: Slow) -> asyncio.Task[Outputs]:
    """Let the engine run on a slice 0 until `go_on`."""
    engine.go_on.clear()
    task = asyncio.create_task(batcher.run(slices(0)))
    await asyncio.to_thread(engine.running.wait, 10)
    return task


def test_each_gets_what_the_graph_says_of_their_own_slices_alone() -> None:
    """Other requests in the batch are answered."""
    engine, random = Engine(quadrant_bundle()), np.random.default_rng(0)
    asked = [random.integers(0, 256, (n, 16, 16), dtype=np.uint8) for n in (1, 5, 1, 40, 2, 16, 1)]
    sizes: list[int] = []

    async def main() -> list[Outputs]:
        batcher = Batcher(engine, 16, lambda slices, seconds: sizes.append(slices))
        told = await asyncio.gather(*(batcher.run(pixels) for pixels in asked))
        batcher.close()
        return told

    for pixels, told in zip(asked, asyncio.run(main()), strict=True):
        alone = Outputs.concatenate([engine(one[None]) for one in pixels])
        assert np.allclose(told.logits, alone.logits, atol=1e-5)
        for name in ("grey_levels", "layout"):
            assert np.array_equal(told.ood_features[name], alone.ood_features[name])
        assert told.maps is not None and np.allclose(told.maps, alone.maps, atol=1e-4)
    assert sum(sizes) == 66
    assert max(sizes) == 16


def test_what_arrives_during_a_run_goes_into_the_next_together() -> None:
    async def use(batcher: Batcher, engine: Slow) -> None:
        first = await busy(batcher, engine)
        others = [asyncio.create_task(batcher.run(slices(n))) for n in range(1, 7)]
        await asyncio.sleep(0.05)
        engine.go_on.set()
        told = await asyncio.gather(first, *others)
        assert [one.logits.tolist() for one in told] == [[[n]] for n in range(7)]

    assert batching(use).runs == [[0], [1, 2, 3, 4], [5, 6]]


def test_one_slice_does_not_wait_for_a_volume() -> None:
    async def use(batcher: Batcher, engine: Slow) -> None:
        first = await busy(batcher, engine)
        volume = asyncio.create_task(batcher.run(slices(*range(100, 120))))
        await asyncio.sleep(0.02)
        lone = asyncio.create_task(batcher.run(slices(1)))
        await asyncio.sleep(0.02)
        engine.go_on.set()
        assert (await lone).logits.tolist() == [[1]]
        assert (await volume).logits[:, 0].tolist() == list(range(100, 120))
        await first

    assert 1 in batching(use).runs[1]


def test_a_series_does_not_wait_for_every_single_slice_at_each_of_its_own() -> None:
    async def use(batcher: Batcher, engine: Slow) -> None:
        first = await busy(batcher, engine)
        series = asyncio.create_task(batcher.run(slices(*range(100, 108))))
        lone = [asyncio.create_task(batcher.run(slices(n))) for n in range(1, 33)]
        await asyncio.sleep(0.05)
        engine.go_on.set()
        await asyncio.gather(first, series, *lone)

    runs = batching(use, size=16).runs
    assert [run for run in runs if 100 in run] == [runs[1]]
    assert {value for run in runs[1:4] for value in run} >= set(range(100, 108))


def test_a_lone_slice_is_not_held_back() -> None:
    async def use(batcher: Batcher, engine: Slow) -> None:
        await batcher.run(slices(0))
        took = []
        for _ in range(20):
            start = time.perf_counter()
            await batcher.run(slices(1))
            took.append(time.perf_counter() - start)
        assert np.median(took) < 0.01

    batching(use)


def test_what_is_cancelled_never_runs() -> None:
    async def use(batcher: Batcher, engine: Slow) -> None:
        first = await busy(batcher, engine)
        gone = asyncio.create_task(batcher.run(slices(7, 8, 9)))
        kept = asyncio.create_task(batcher.run(slices(1)))
        await asyncio.sleep(0.02)
        gone.cancel()
        await asyncio.sleep(0.02)
        engine.go_on.set()
        await asyncio.gather(first, kept)

    assert batching(use).runs == [[0], [1]]


def test_a_graph_that_fails_fails_those_of_its_batch_only() -> None:
    async def use(batcher: Batcher, engine: Slow) -> None:
        with pytest.raises(RuntimeError, match="the graph fails"):
            await batcher.run(slices(255))
        assert (await batcher.run(slices(3))).logits.tolist() == [[3]]

    batching(use)


def test_closing_finishes_what_was_given_and_takes_no_more() -> None:
    async def use(batcher: Batcher, engine: Slow) -> None:
        first = await busy(batcher, engine)
        second = asyncio.create_task(batcher.run(slices(1)))
        await asyncio.sleep(0.02)
        batcher.close()
        engine.go_on.set()
        assert (await second).logits.tolist() == [[1]]
        await first
        with pytest.raises(RuntimeError, match="closed"):
            await batcher.run(slices(2))

    batching(use)
