"""Who owns which memory: sources live as long as they are needed, results belong to the caller, and nothing grows."""

from __future__ import annotations

import gc
import os
import weakref

import numpy as np
import pantile
import pantile.array as da
import pytest
from pantile import _native


def live() -> int:
    gc.collect()
    return _native.pool_stats()["live_bytes"]


def test_a_source_lives_as_long_as_an_expression_needs_it() -> None:
    x = np.arange(1000.0)
    reference = weakref.ref(x)
    lazy = da.from_array(x, chunks=100)
    del x
    gc.collect()
    assert reference() is not None
    y = (lazy + 1).sum()
    del lazy
    gc.collect()
    assert y.compute() == 500500
    del y
    gc.collect()
    assert reference() is None


def test_a_result_lives_alone() -> None:
    before = live()
    result = (da.ones((100, 100), chunks=30) + 1).compute()
    view = result[10:20, ::2]
    transposed = result.T
    del result
    gc.collect()
    # Others take memory from the pool meanwhile.
    for k in range(20):
        (da.ones((100, 100), chunks=30) * k).compute()
    assert (view == 2).all()
    assert (transposed == 2).all()
    assert live() >= before + 80_000
    del view, transposed
    assert live() == before


def test_blocks_that_a_function_keeps_stay_as_they_were() -> None:
    kept: list[np.ndarray] = []

    def keep(block: np.ndarray) -> np.ndarray:
        kept.append(block)
        return block * 2

    da.map_blocks(keep, da.arange(1000, chunks=100) + 5, dtype=int).sum().compute()
    for k in range(20):
        (da.ones((100, 100), chunks=30) * k).compute()
    assert sorted(int(b[0]) for b in kept) == list(range(5, 1005, 100))
    for block in kept:
        np.testing.assert_array_equal(block, np.arange(block[0], block[0] + 100))


SOURCE = np.arange(60.0).reshape(6, 10)
ALIASES = {
    "itself": lambda x: x,
    "transposed": lambda x: x.T,
    "sliced": lambda x: x[::2],
    "row": lambda x: x[1],
    "reversed": lambda x: x[:, ::-1],
    "reshaped": lambda x: x.reshape(10, 6),
    "raveled": lambda x: x.ravel(),
    "new axis": lambda x: x[None],
    "broadcast": lambda x: da.broadcast_to(x, (2, 6, 10)),
    "real": lambda x: x.real,
    "same dtype": lambda x: x.astype(float),
    "rechunked": lambda x: x.rechunk((2, 10)),
    "concatenated": lambda x: da.concatenate([x, x]),
    "python": lambda x: da.map_blocks(lambda b: b, x, dtype=float),
    "persisted": lambda x: x.persist(),
    "persisted view": lambda x: x.T.persist(),
    "python persisted": lambda x: da.map_blocks(lambda b: b, x, dtype=float).persist(),
}


@pytest.mark.parametrize("chunks", [-1, 4], ids=["one block", "blocks"])
@pytest.mark.parametrize("name", ALIASES)
def test_results_never_share_memory_with_sources(name: str, chunks: int) -> None:
    source = SOURCE.copy()
    lazy = ALIASES[name](da.from_array(source, chunks=chunks))
    result = lazy.compute()
    expected = result.copy()
    assert not np.shares_memory(result, source)
    assert result.flags.writeable
    result[...] = -1
    np.testing.assert_array_equal(source, SOURCE)
    # Nor with what was persisted, nor with another result.
    np.testing.assert_array_equal(lazy.compute(), expected)


@pytest.mark.parametrize("name", ["persisted", "persisted view", "python persisted"])
def test_persisted_blocks_do_not_see_changes_of_the_source(name: str) -> None:
    source = SOURCE.copy()
    lazy = ALIASES[name](da.from_array(source, chunks=4))
    before = lazy.compute()
    source[...] = -1
    np.testing.assert_array_equal(lazy.compute(), before)


def test_equal_arrays_of_one_run_do_not_share_memory() -> None:
    # The engine computes what is equal once; each result is an array of its own all the same.
    a, b, c = pantile.compute(
        *[da.ones((4, 4), chunks=2) + 1 for _ in range(2)], (da.ones((4, 4), chunks=2) + 1).T
    )
    a[...] = 0
    assert (b == 2).all()
    assert (c == 2).all()


def test_changes_of_a_source_are_seen_by_the_next_run() -> None:
    source = SOURCE.copy()
    lazy = da.from_array(source, chunks=4).sum()
    assert lazy.compute() == SOURCE.sum()
    source += 1
    assert lazy.compute() == SOURCE.sum() + SOURCE.size


def test_sources_with_odd_memory() -> None:
    wide = np.arange(400.0).reshape(20, 20)
    fields = np.zeros(12, dtype=[("a", "i1"), ("b", "<f8")])
    fields["b"] = np.arange(12)
    cases = {
        "reversed": wide[::-1, ::-1],
        "strided": wide[3:17:4, 2::3],
        "fortran": np.asfortranarray(wide),
        "broadcast": np.broadcast_to(np.arange(20.0), (20, 20)),
        "unaligned": fields["b"],
        "read-only": np.frombuffer(np.arange(12.0).tobytes()),
        "big-endian": wide.astype(">f8"),
        "empty": wide[:0],
        "zero-dimensional": np.array(3.5),
        "subclass": np.ma.masked_array(wide).data,
        "overlapping": np.lib.stride_tricks.sliding_window_view(np.arange(30.0), 7),
    }
    for name, array in cases.items():
        lazy = da.from_array(array, chunks=3)
        np.testing.assert_array_equal(lazy.compute(), array, err_msg=name)
        np.testing.assert_array_equal((lazy.T * 2).compute(), array.T * 2, err_msg=name)
    del wide, fields, cases, array
    gc.collect()
    np.testing.assert_array_equal((lazy + 0).compute()[0], np.arange(7.0))


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_thousand_runs_hold_no_more_than_one() -> None:
    source = np.random.default_rng(0).random((200, 200))

    def once(k: int) -> None:
        x = da.from_array(source, chunks=50)
        (x + x.T).sum().compute()
        da.map_blocks(lambda b: b + k, x, dtype=float).mean(axis=0).compute()
        (x @ x).persist()[0].compute()

    for k in range(100):
        once(k)
    before, before_resident = live(), resident()
    for k in range(1000):
        once(k)
    assert live() == before
    # A leak of one block a run would be 20 MB.
    assert resident() - before_resident < 10 << 20


def test_failed_and_abandoned_expressions_hold_nothing() -> None:
    before = live()
    source = np.zeros((500, 500))
    reference = weakref.ref(source)
    x = da.from_array(source, chunks=100)
    del source
    for _ in range(50):
        y = x.persist() if _ == 0 else x + 1
        with pytest.raises(ValueError):
            y + da.ones(3)
    del x, y
    gc.collect()
    assert reference() is None
    assert live() == before


def test_deleting_a_source_in_a_callback_is_harmless() -> None:
    holder = [np.ones(1000)]
    lazy = da.from_array(holder[0], chunks=10)

    def drop(block: np.ndarray) -> np.ndarray:
        holder.clear()
        gc.collect()
        return block + 1

    assert da.map_blocks(drop, lazy, dtype=float).sum().compute() == 2000
