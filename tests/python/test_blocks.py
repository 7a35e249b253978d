"""Python functions on blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pantile.array as da
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.python.helpers import check, cuts

X = np.arange(24.0).reshape(4, 6)


def lazy(chunks=(2, 3)) -> da.Array:
    return da.from_array(X, chunks=chunks)


def test_map_blocks() -> None:
    check(da.map_blocks(np.sin, lazy()), np.sin(X))
    check(lazy().map_blocks(lambda b, k: b * k, 3), X * 3)
    check(lazy().map_blocks(lambda b, k=0: b + k, k=5), X + 5)
    check(da.map_blocks(np.add, lazy(), lazy((4, 2))), X + X)
    check(da.map_blocks(np.add, lazy(), np.arange(6.0)), X + np.arange(6.0))
    check(da.map_blocks(np.add, lazy(), da.ones((4, 1), chunks=(2, 1))), X + 1)


def test_dtype_is_inferred_or_given() -> None:
    assert lazy().map_blocks(lambda b: b > 3).dtype == bool
    assert lazy().map_blocks(lambda b: b, dtype="f4").dtype == np.float32
    with pytest.raises(ValueError, match=r"`dtype` inference failed in `map_blocks`.*Please give dtype="):
        lazy().map_blocks(lambda b: b.no_such_attribute)


@pytest.mark.parametrize(
    ("returned", "declared"),
    [
        (np.array([1.5, 2.5]), "i8"),
        (np.array([1j, 2]), "f8"),
        (np.array([1, -1]), "u8"),
        (np.array([1, 2]), "?"),
        (np.array([1, 2], "m8[s]"), "i8"),
        (np.array([1.5, None]), "f8"),
        ([1.5, 2.5], "i8"),
    ],
    ids=str,
)
def test_a_function_that_returns_another_kind_is_refused(returned: Any, declared: str) -> None:
    a = da.map_blocks(lambda b: returned, da.ones(2), dtype=declared)
    with pytest.raises(TypeError, match=r"gave an array of dtype .* was declared") as caught:
        a.compute()
    assert str(np.asarray(returned).dtype) in str(caught.value)
    assert str(np.dtype(declared)) in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "declared"),
    [
        (np.array([1, 2]), "f4"),
        (np.array([1.5, 2.5]), "c8"),
        (np.array([1.5, 2.5]), "f2"),
        (np.array([True, False]), "i1"),
        (np.array([1, 2], "u1"), "i8"),
        (np.array([1.5, 2.5], ">f8"), "f8"),
        (np.array([1, 2], "M8[D]"), "M8[s]"),
        ([1, 2], "u1"),
        ([1, 2.5], "f4"),
    ],
    ids=str,
)
def test_a_function_may_return_a_dtype_of_the_same_kind(returned: Any, declared: str) -> None:
    a = da.map_blocks(lambda b: returned, da.ones(2), dtype=declared)
    check(a, np.asarray(returned).astype(declared))


def test_a_source_that_gives_another_kind_is_refused() -> None:
    class Fractions:
        shape, dtype, ndim = (2,), np.dtype("i8"), 1

        def __getitem__(self, key: Any) -> np.ndarray:
            return np.array([0.5, 1.5])[key]

    with pytest.raises(TypeError, match="float64 where int64 was declared"):
        da.from_array(Fractions()).compute()


def test_block_id_and_info() -> None:
    ids = lazy().map_blocks(
        lambda b, block_id=None: np.full(b.shape, 10 * block_id[0] + block_id[1]), dtype=int
    )
    check(ids, np.kron(np.array([[0, 1], [10, 11]]), np.ones((2, 3), int)))

    def first(b, block_info=None):
        (rows, _), (columns, _) = block_info[0]["array-location"]
        assert block_info[None]["chunk-shape"] == b.shape
        assert block_info[0]["shape"] == (4, 6)
        return np.full(b.shape, 100 * rows + columns)

    check(lazy().map_blocks(first, dtype=int), np.kron(np.array([[0, 3], [200, 203]]), np.ones((2, 3), int)))


def test_axes_that_come_and_go() -> None:
    check(lazy().map_blocks(lambda b: b.sum(axis=1), drop_axis=1, dtype=float), X.sum(axis=1))
    check(lazy().map_blocks(lambda b: b[None], new_axis=0, dtype=float), X[None])
    check(
        lazy().map_blocks(
            lambda b: np.stack([b, b], -1), new_axis=2, chunks=((2, 2), (3, 3), (2,)), dtype=float
        ),
        np.stack([X, X], -1),
    )


def test_chunks_that_change() -> None:
    halves = lazy().map_blocks(lambda b: b[:, ::2], chunks=(2, 2), dtype=float)
    assert halves.chunks == ((2, 2), (2, 2))
    check(halves, np.concatenate([X[:, 0:3:2], X[:, 3:6:2]], axis=1))
    with pytest.raises(ValueError, match=r"returned an array of shape \[2, 2\]"):
        lazy().map_blocks(lambda b: b[:, ::2], dtype=float).compute()


def test_without_arrays() -> None:
    made = da.map_blocks(lambda block_id=None: np.full((2,), block_id[0]), chunks=((2, 2),), dtype=int)
    check(made, [0, 0, 1, 1])


def test_exceptions_keep_type_and_get_a_note() -> None:
    def bad(b):
        raise KeyError("no luck")

    with pytest.raises(KeyError, match="no luck") as caught:
        lazy().map_blocks(bad, dtype=float).sum().compute()
    assert any("bad" in note for note in caught.value.__notes__)
    assert any("test_blocks.py" in note for note in caught.value.__notes__)


def test_blocks_are_read_only() -> None:
    def scribble(b):
        b[0] = 1
        return b

    with pytest.raises(ValueError, match="read-only"):
        lazy().map_blocks(scribble, dtype=float).compute()


def test_blockwise() -> None:
    check(da.blockwise(np.transpose, "ji", lazy(), "ij", dtype=float), X.T)
    check(
        da.blockwise(lambda b: b.sum(axis=1), "i", lazy(), "ij", concatenate=True, dtype=float), X.sum(axis=1)
    )
    check(
        da.blockwise(np.add, "ij", lazy(), "ij", da.arange(6, chunks=3), "j", dtype=float), X + np.arange(6)
    )
    check(
        da.blockwise(
            lambda b: np.repeat(b, 2, axis=0),
            "ij",
            lazy(),
            "ij",
            adjust_chunks={"i": lambda n: 2 * n},
            dtype=float,
        ),
        np.concatenate([np.repeat(X[:2], 2, 0), np.repeat(X[2:], 2, 0)]),
    )
    check(
        da.blockwise(
            lambda b: b[..., None] * np.ones(2), "ijk", lazy(), "ij", new_axes={"k": 2}, dtype=float
        ),
        X[..., None] * np.ones(2),
    )
    with pytest.raises(NotImplementedError, match="concatenate=True"):
        da.blockwise(lambda b: b, "i", lazy(), "ij", dtype=float)
    with pytest.raises(ValueError, match="new_axes"):
        da.blockwise(lambda b: b, "ik", lazy(), "ij", dtype=float, concatenate=True)


@given(data=st.data())
def test_map_overlap_is_independent_of_chunks(data) -> None:
    n = data.draw(st.integers(1, 14))
    x = np.arange(n, dtype=float) ** 2
    a = da.from_array(x, chunks=data.draw(cuts(x.shape)))
    depth = data.draw(st.integers(0, 3))
    boundary = data.draw(st.sampled_from(["reflect", "periodic", "nearest", 5.0, "none", None]))

    def smooth(b):
        return sum(np.roll(b, k) for k in range(-depth, depth + 1))

    ours = a.map_overlap(smooth, depth=depth, boundary=boundary, dtype=float).compute()
    modes = {"reflect": "symmetric", "periodic": "wrap", "nearest": "edge"}
    if boundary in ("none", None):
        assert ours.shape == x.shape
        if n > 2 * depth:
            inner = smooth(x)[depth : n - depth]
            np.testing.assert_array_equal(ours[depth : n - depth], inner)
        return
    padded = (
        np.pad(x, depth, modes[boundary]) if boundary in modes else np.pad(x, depth, constant_values=boundary)
    )
    expected = smooth(padded)[depth : depth + n]
    np.testing.assert_array_equal(ours, expected)


def test_map_overlap_forms() -> None:
    def spread(b):
        return b[:-2] + b[2:] + 0 * b[1:-1]

    a = da.from_array(X, chunks=(2, 3))
    whole = np.pad(X, ((1, 1), (0, 0)), "edge")
    padded = da.map_overlap(
        lambda b: np.pad(spread(b), ((1, 1), (0, 0))), a, depth={0: 1}, boundary="nearest", dtype=float
    )
    check(padded, spread(whole))
    halo = a.map_overlap(lambda b: b, depth=(1, 0), boundary="none", trim=False)
    assert halo.chunks == ((3, 3), (3, 3))
    check(da.map_overlap(np.add, a, a, depth=1, boundary="reflect"), X + X)
    uneven = da.map_overlap(lambda b: b, a, depth=((1, 2), 0), boundary="periodic", trim=False)
    assert uneven.chunks == ((5, 5), (3, 3))
    with pytest.raises(ValueError, match="boundary 'mirror' is not known"):
        a.map_overlap(lambda b: b, depth=1, boundary="mirror")
    with pytest.raises(ValueError, match="depth has 3 entries"):
        a.map_overlap(lambda b: b, depth=(1, 1, 1))


def test_apply_along_axis() -> None:
    check(da.apply_along_axis(np.ptp, 0, lazy()), np.apply_along_axis(np.ptp, 0, X))
    check(da.apply_along_axis(lambda v: v[:2], 1, lazy()), np.apply_along_axis(lambda v: v[:2], 1, X))


def test_statistics() -> None:
    x = np.random.default_rng(0).normal(size=(40, 5))
    a = da.from_array(x, chunks=(7, 2))
    for kwargs in (
        {"bins": 8, "range": (-3, 3)},
        {"bins": [-1, 0, 0.5, 2]},
        {"bins": 5, "range": (-2, 2), "density": True},
    ):
        ours, edges = da.histogram(a, **kwargs)
        expected, numpys = np.histogram(x, **kwargs)
        check(ours, expected, 1e-12)
        np.testing.assert_array_equal(edges, numpys)
    check(da.cov(a.T), np.cov(x.T), 1e-12, 1e-14)
    check(da.corrcoef(a.T), np.corrcoef(x.T), 1e-12, 1e-14)
    check(da.topk(a, 3, axis=0), np.sort(x, axis=0)[::-1][:3])
    check(da.topk(a, -2, axis=1), np.sort(x, axis=1)[:, :2])
    whole = (x[:, 0] * 3).astype(int) + 20
    check(da.bincount(da.from_array(whole, chunks=9), minlength=40), np.bincount(whole, minlength=40))
    check(da.digitize(a, [-1, 0, 1]), np.digitize(x, [-1, 0, 1]))
    check(da.isin(da.from_array(whole, chunks=9), [19, 21]), np.isin(whole, [19, 21]))
    check(da.searchsorted(np.sort(x[:, 0]), a), np.searchsorted(np.sort(x[:, 0]), x))
