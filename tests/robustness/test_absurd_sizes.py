"""Sizes that no machine has: an error where the array is built or computed, never a wrong number, an abort or a crash."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pantile.array as da
import pytest
from pantile import config

TOO_BIG = [
    ("more elements than 63 bits count", lambda: da.ones((2**32, 2**32), chunks=2**32), "2\\*\\*63 - 1"),
    ("one axis of 2**63", lambda: da.ones(2**63), "2\\*\\*63 - 1"),
    ("an outer product", lambda: da.arange(2**33)[:, None] * da.arange(2**33), "2\\*\\*63 - 1"),
    ("concatenated", lambda: da.concatenate([da.ones(2**62, chunks=2**40)] * 2), "2\\*\\*63 - 1"),
    ("a block beyond addresses", lambda: da.ones(2**61, chunks=2**61), "smaller chunks"),
    ("a block beyond addresses in 2-d", lambda: da.ones((2**31, 2**30), chunks=(-1, -1)), "smaller chunks"),
    (
        "a block that grows with its dtype",
        lambda: da.ones(2**61, dtype="i1", chunks=-1).astype("f8"),
        "smaller chunks",
    ),
    (
        "more chunks than an axis may have",
        lambda: da.ones(2**62, chunks=2**30),
        f"at least {2**62 // 2**24} ",
    ),
    ("too many automatic chunks", lambda: da.broadcast_to(da.ones(1), (2**62,)), "chunks of at least"),
    ("broadcast both ways", lambda: da.broadcast_to(da.ones(1), (2**40, 2**40)), "2\\*\\*63 - 1"),
    ("more blocks than 32 bits count", lambda: da.ones((2**16 + 1, 2**16), chunks=1), "larger chunks"),
    ("2**32 blocks", lambda: da.zeros((2**16, 2**16), chunks=1), "larger chunks"),
    ("2**64 blocks", lambda: da.ones((2**16,) * 4, chunks=1), "2\\*\\*63 - 1"),
    (
        "many blocks of an outer product",
        lambda: da.ones((2**17, 1), chunks=1) + da.ones(2**17, chunks=1),
        "larger chunks",
    ),
]


@pytest.mark.parametrize(("build", "words"), [t[1:] for t in TOO_BIG], ids=[t[0] for t in TOO_BIG])
def test_an_array_that_is_too_large_is_refused_where_it_is_built(
    build: Callable[[], object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        build()


# The largest that may be built: what computes it must say that it does not fit, in an error that can be caught.
HUGE = 2**60 - 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: da.ones(HUGE, chunks=-1).cumsum()[5],
        lambda: da.ones((2**30, 2**29), chunks=(-1, -1)).cumsum(axis=0)[5, 5],
        lambda: (da.ones((2**30, 2**29), chunks=(-1, -1)).T @ da.ones((2**30, 2**29), chunks=(-1, -1)))[0, 0],
        lambda: da.ones(HUGE, chunks=-1)[::-1].persist(),
        lambda: da.concatenate([da.ones(HUGE, chunks=-1), da.ones(HUGE, chunks=-1)]).cumsum()[-1],
        lambda: da.linalg.qr(da.ones((2**30, 2**29), chunks=(-1, -1)))[1][0, 0],
        lambda: da.linalg.svd(da.ones((2**31, 2**31), chunks=2**16))[1][0],
        lambda: da.linalg.lstsq(da.ones((2**20, 2**31), chunks=2**16), da.ones(2**20, chunks=2**16))[0][0],
        lambda: da.map_blocks(np.sin, da.ones(HUGE, chunks=-1), dtype=float)[0],
    ],
    ids=["cumsum", "cumsum 2-d", "matmul", "persist", "concatenate", "qr", "svd", "lstsq", "map_blocks"],
)
@pytest.mark.parametrize("limit", ["1GB", 2**63 - 1], ids=["limited", "unlimited"])
def test_what_no_memory_holds_is_an_error(make: Callable[[], da.Array], limit: str | int) -> None:
    with config.set(memory_limit=limit), pytest.raises((MemoryError, NotImplementedError, ValueError)):
        make().compute()


def test_long_axes_in_few_blocks_work() -> None:
    x = da.ones((2**20, 2**40), chunks=(2**20, 2**24))
    assert x.size == 2**60
    assert x.nbytes == 2**63
    assert x[:3, -3:].sum().compute() == 9
    assert da.arange(2**62, chunks=2**58)[[0, -1]].compute().tolist() == [0, 2**62 - 1]
    assert x.reshape(-1).shape == (2**60,)


def test_empty_axes_beside_long_ones_are_empty() -> None:
    x = da.ones((2**40, 0, 2**40), chunks=-1)
    assert x.sum().compute() == 0
    assert x.shape == (2**40, 0, 2**40)
