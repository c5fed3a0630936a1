import numpy as np

from gliascope.audit.copy_groups import LARGE, cut_chains, merge_groups


def numbers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def wave(phase: float) -> np.ndarray:
    """Low frequencies that turn into something unlike as the phase grows; unlike under no transform either."""
    low = np.zeros((12, 12), np.float32)
    low[1, 0], low[5, 3] = np.cos(phase), np.sin(phase)
    return low


def test_links_join_known_groups_and_groups_are_numbered_by_first_appearance() -> None:
    group = merge_groups(numbers(7, 3, 7, 5, 9), numbers(1), numbers(3))
    assert group.tolist() == [0, 1, 0, 1, 2]
    assert merge_groups(numbers(4, 4, 2), numbers(), numbers()).tolist() == [0, 0, 1]


def test_a_chain_with_unlike_ends_is_cut_at_its_weakest_link() -> None:
    n = LARGE + 10
    low = np.stack([wave(phase) for phase in np.linspace(0, np.pi / 2, n)])
    correlation = np.full(n - 1, 0.995)
    correlation[30] = 0.981
    cut = cut_chains(np.arange(n - 1), np.arange(1, n), correlation, low)
    assert np.flatnonzero(cut).tolist() == [30]


def test_copies_of_one_slice_are_not_cut_however_many() -> None:
    n = 3 * LARGE
    low = np.stack([wave(0.3)] * n)
    assert not cut_chains(np.arange(n - 1), np.arange(1, n), np.full(n - 1, 0.98), low).any()


def test_a_copy_of_a_whole_series_keeps_its_links(monkeypatch) -> None:
    """Neighbouring slices are alike, the ends are not: the chain goes, each slice keeps its copy."""
    n = LARGE
    low = np.concatenate([np.stack([wave(phase) for phase in np.linspace(0, np.pi / 2, n)])] * 2)
    first = np.concatenate([np.arange(n - 1), np.arange(n, 2 * n - 1), np.arange(n)])
    second = np.concatenate([np.arange(1, n), np.arange(n + 1, 2 * n), np.arange(n, 2 * n)])
    correlation = np.concatenate([np.full(2 * n - 2, 0.985), np.full(n, 0.9999)])
    cut = cut_chains(first, second, correlation, low)
    assert not cut[-n:].any()
    assert cut[:-n].all()
