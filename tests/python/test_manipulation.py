"""Shape functions against NumPy's."""

from __future__ import annotations

import numpy as np
import pantile.array as da
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.python.helpers import check, cuts, lazy, same_error

DTYPES = ("?", "i2", "f8")


@given(data=st.data())
def test_reshape(data) -> None:
    x, a = data.draw(lazy(dtypes=DTYPES))
    sides = data.draw(st.permutations([2, 3, 1, *x.shape]))
    to: list[int] = []
    size = x.size
    for n in sides:
        if n and size % n == 0 and size:
            to.append(n)
            size //= n
    to = [*to, -1] if x.size else [0, 3]
    for order in ("C", "F"):
        check(a.reshape(to, order=order), x.reshape(to, order=order))
        check(a.ravel(order), x.ravel(order))


@pytest.mark.parametrize("to", [(5,), (-1, -1), (4, -1), (7, 0)])
def test_reshape_to_a_wrong_size(to) -> None:
    x = np.ones((2, 3))
    same_error(lambda: da.from_array(x).reshape(to), lambda: x.reshape(to))


@given(data=st.data())
def test_rechunk(data) -> None:
    x, a = data.draw(lazy(dtypes=DTYPES))
    to = data.draw(cuts(x.shape))
    b = a.rechunk(to)
    assert b.chunks == to
    check(b, x)


def test_chunks_in_every_spelling() -> None:
    shape = (10, 12)
    for spelling, expected in [
        (5, ((5, 5), (5, 5, 2))),
        ((5, -1), ((5, 5), (12,))),
        ((5, None), ((5, 5), (12,))),
        ({0: 5}, ((5, 5), (12,))),
        (((4, 6), (12,)), ((4, 6), (12,))),
        (-1, ((10,), (12,))),
        ("auto", ((10,), (12,))),
        ({1: 4, 0: (3, 7)}, ((3, 7), (4, 4, 4))),
    ]:
        assert da.ones(shape, chunks=spelling).chunks == expected
    assert max(da.ones((1000, 1000), chunks="64KB").chunksize) <= 100
    assert da.ones(10, chunks=(4, 6)).chunks == ((4, 6),)
    assert da.ones(shape, chunks=5).rechunk({1: 6}).chunks == ((5, 5), (6, 6))


@pytest.mark.parametrize("chunks", [(5,), (5, 5, 5), ((4, 4), 12), "12 parsecs", -2, (0, 5), ((-5, 15), 12)])
def test_bad_chunks(chunks) -> None:
    with pytest.raises(ValueError, match="chunk"):
        da.ones((10, 12), chunks=chunks)


@given(data=st.data())
def test_views(data) -> None:
    x, a = data.draw(lazy(dtypes=DTYPES))
    order = data.draw(st.permutations(range(x.ndim)))
    check(a.transpose(order), x.transpose(order))
    check(a.T, x.T)
    check(da.squeeze(a), np.squeeze(x))
    check(da.flip(a), np.flip(x))
    check(da.atleast_3d(a), np.atleast_3d(x))
    if x.ndim:
        i, j = data.draw(st.integers(-x.ndim, x.ndim - 1)), data.draw(st.integers(0, x.ndim - 1))
        check(da.swapaxes(a, i, j), np.swapaxes(x, i, j))
        check(da.moveaxis(a, i, j), np.moveaxis(x, i, j))
        check(da.rollaxis(a, i, j), np.rollaxis(x, i, j))
        check(
            da.expand_dims(a, (i, x.ndim) if i >= 0 else i), np.expand_dims(x, (i, x.ndim) if i >= 0 else i)
        )
        check(da.flip(a, i), np.flip(x, i))
        shift = data.draw(st.integers(-9, 9))
        check(da.roll(a, shift, i), np.roll(x, shift, i))
        check(da.roll(a, shift), np.roll(x, shift))
    if x.ndim > 1:
        k = data.draw(st.integers(-3, 5))
        check(da.rot90(a, k), np.rot90(x, k))


@given(data=st.data())
def test_joining(data) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5))
    pairs = [
        data.draw(lazy(dtypes=("i2", "f4", "?"), shape=shape)) for _ in range(data.draw(st.integers(1, 3)))
    ]
    xs, arrays = [p[0] for p in pairs], [p[1] for p in pairs]
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check(da.concatenate(arrays, axis), np.concatenate(xs, axis))
    check(da.concatenate(arrays, None), np.concatenate(xs, None))
    check(da.stack(arrays, axis), np.stack(xs, axis))
    check(da.vstack(arrays), np.vstack(xs))
    check(da.hstack(arrays), np.hstack(xs))
    check(da.dstack(arrays), np.dstack(xs))


def test_joining_what_does_not_fit() -> None:
    x, y = np.ones((2, 3)), np.ones((2, 4))
    for name in ("concatenate", "stack", "vstack"):
        same_error(
            lambda name=name: getattr(da, name)([da.from_array(x), da.from_array(y)]),
            lambda name=name: getattr(np, name)([x, y]),
        )
    same_error(lambda: da.concatenate([]), lambda: np.concatenate([]))
    same_error(lambda: da.concatenate([da.ones(2)], axis=1), lambda: np.concatenate([x[0]], axis=1))


def test_block_and_column_stack() -> None:
    a, b, c = np.ones((2, 2)), np.zeros((2, 3)), np.full((1, 5), 2.0)
    la, lb, lc = (da.from_array(v, chunks=2) for v in (a, b, c))
    check(da.block([[la, lb], [lc]]), np.block([[a, b], [c]]))
    check(da.column_stack([la[0], lb[:, 0]]), np.column_stack([a[0], b[:, 0]]))
    same_error(lambda: da.block([[la], lb]), lambda: np.block([[a], b]))


@given(data=st.data())
def test_splitting(data) -> None:
    x, a = data.draw(lazy(dtypes=("i2",), shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=8)))
    axis = data.draw(st.integers(0, x.ndim - 1))
    parts = data.draw(st.one_of(st.integers(1, 5), st.lists(st.integers(0, 9), max_size=3).map(sorted)))
    for ours, numpys in zip(da.array_split(a, parts, axis), np.array_split(x, parts, axis), strict=True):
        check(ours, numpys)


def test_unequal_split_is_refused() -> None:
    same_error(lambda: da.split(da.ones(5), 2), lambda: np.split(np.ones(5), 2))
    same_error(lambda: da.vsplit(da.ones(5), 5), lambda: np.vsplit(np.ones(5), 5))


@given(data=st.data())
def test_broadcast_to(data) -> None:
    x, a = data.draw(
        lazy(dtypes=("i2",), shape=hnp.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=4))
    )
    to = (
        *data.draw(hnp.array_shapes(min_dims=0, max_dims=1, max_side=3)),
        *(5 if n == 1 else n for n in x.shape),
    )
    check(da.broadcast_to(a, to), np.broadcast_to(x, to))


def test_broadcast_to_a_wrong_shape() -> None:
    same_error(
        lambda: da.broadcast_to(da.ones((2, 3)), (2, 4)), lambda: np.broadcast_to(np.ones((2, 3)), (2, 4))
    )
    same_error(lambda: da.broadcast_to(da.ones((2, 3)), (3,)), lambda: np.broadcast_to(np.ones((2, 3)), (3,)))


@given(data=st.data())
def test_repeat_and_tile(data) -> None:
    x, a = data.draw(lazy(dtypes=("i2",), shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=4)))
    axis = data.draw(st.one_of(st.none(), st.integers(0, x.ndim - 1)))
    n = x.size if axis is None else x.shape[axis]
    repeats = data.draw(st.one_of(st.integers(0, 3), st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    check(da.repeat(a, repeats, axis), np.repeat(x, repeats, axis))
    reps = data.draw(st.one_of(st.integers(0, 3), st.lists(st.integers(0, 2), min_size=1, max_size=4)))
    check(da.tile(a, reps), np.tile(x, reps))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@given(data=st.data())
def test_pad(mode, data) -> None:
    x, a = data.draw(lazy(dtypes=("i2", "f8"), shape=hnp.array_shapes(min_dims=1, max_dims=2, max_side=5)))
    widths = [(data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))) for _ in x.shape]
    more = {"constant_values": 3} if mode == "constant" else {}
    check(da.pad(a, widths, mode, **more), np.pad(x, widths, mode, **more))


@given(data=st.data())
def test_diff(data) -> None:
    x, a = data.draw(
        lazy(dtypes=("?", "i2", "f8"), shape=hnp.array_shapes(min_dims=1, max_dims=2, max_side=6))
    )
    n, axis = data.draw(st.integers(0, 3)), data.draw(st.integers(0, x.ndim - 1))
    check(da.diff(a, n, axis), np.diff(x, n, axis))
    check(da.diff(a, axis=axis, prepend=1, append=0), np.diff(x, axis=axis, prepend=1, append=0))


def test_bad_axes() -> None:
    a, x = da.ones((2, 3)), np.ones((2, 3))
    same_error(lambda: da.transpose(a, (0, 0)), lambda: np.transpose(x, (0, 0)))
    same_error(lambda: da.transpose(a, (0,)), lambda: np.transpose(x, (0,)))
    same_error(lambda: da.squeeze(a, 0), lambda: np.squeeze(x, 0))
    same_error(lambda: da.expand_dims(a, 5), lambda: np.expand_dims(x, 5))
    same_error(lambda: da.moveaxis(a, (0, 1), (0,)), lambda: np.moveaxis(x, (0, 1), (0,)))


def test_gradient_and_friends() -> None:
    x = np.random.default_rng(0).normal(size=(6, 7))
    a = da.from_array(x, chunks=3)
    for ours, numpys in zip(da.gradient(a, 2.0), np.gradient(x, 2.0), strict=True):
        check(ours, numpys, 1e-12)
    check(da.gradient(a, axis=1, edge_order=2), np.gradient(x, axis=1, edge_order=2), 1e-10)
