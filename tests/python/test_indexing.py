"""Subscripts and assignment against NumPy's."""

from __future__ import annotations

import numpy as np
import pantile.array as da
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pantile import UnsupportedError

from tests.python.helpers import arrays, check, cuts, lazy, same_error

DTYPES = ("?", "i4", "f4", "c16")


@given(data=st.data())
def test_basic(data) -> None:
    x, a = data.draw(lazy(dtypes=DTYPES))
    key = data.draw(hnp.basic_indices(x.shape, allow_newaxis=True, allow_ellipsis=True))
    check(a[key], x[key])


@given(data=st.data())
def test_slices_of_slices(data) -> None:
    x, a = data.draw(lazy(dtypes=("i4",), shape=hnp.array_shapes(min_dims=1, max_dims=2, max_side=12)))
    for _ in range(3):
        key = data.draw(hnp.basic_indices(x.shape))
        x, a = x[key], a[key]
        if not isinstance(x, np.ndarray):
            break
    check(a, x)


@given(data=st.data())
def test_positions_along_one_axis(data) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=6))
    x, a = data.draw(lazy(dtypes=("i4", "f8"), shape=shape))
    axis = data.draw(st.integers(0, x.ndim - 1))
    n = x.shape[axis]
    positions = data.draw(
        hnp.arrays(
            "i8",
            data.draw(hnp.array_shapes(max_dims=2, min_side=0, max_side=7)),
            elements=st.integers(-n, n - 1),
        )
    )
    key = (slice(None),) * axis + (positions,)
    check(a[key], x[key])
    check(da.take(a, positions, axis), np.take(x, positions, axis))


@settings(max_examples=250)
@given(data=st.data())
def test_an_index_array_beside_every_other_kind_of_entry(data) -> None:
    """NumPy moves the axis to the front where an entry, be it an ellipsis for no axis, separates it from an integer."""
    x, a = data.draw(
        lazy(dtypes=("i4",), shape=hnp.array_shapes(min_dims=2, max_dims=4, min_side=2, max_side=3))
    )
    entry = st.sampled_from([0, 1, -1, slice(None), slice(None, None, -1), None])
    count = data.draw(st.integers(0, x.ndim - 1))
    key = data.draw(st.lists(entry, min_size=count, max_size=count))
    key.insert(data.draw(st.integers(0, len(key))), data.draw(st.sampled_from([[0, 1], [1, 1, 0], [1]])))
    if data.draw(st.booleans()):
        key.insert(data.draw(st.integers(0, len(key))), ...)
    advanced = [i for i, k in enumerate(key) if isinstance(k, (int, list))]
    if advanced[-1] - advanced[0] == len(advanced) - 1:
        check(a[tuple(key)], x[tuple(key)])
    else:
        with pytest.raises(UnsupportedError, match="front"):
            a[tuple(key)]


def test_an_ellipsis_for_no_axis_separates() -> None:
    x = np.arange(8).reshape(2, 2, 2)
    a = da.from_array(x)
    assert x[:, 1, ..., [0, 1]].tolist() == [[2, 6], [3, 7]]  # not x[:, 1, [0, 1]]
    for key in [(slice(None), 1, ..., [0, 1]), (slice(None), [0, 1], ..., 1), (1, ..., [[0], [1]])]:
        with pytest.raises(UnsupportedError, match="front"):
            a[key]


@given(data=st.data())
def test_mask_of_all_axes(data) -> None:
    x, a = data.draw(lazy(dtypes=("i4", "f8"), shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=6)))
    mask = data.draw(hnp.arrays("?", x.shape))
    check(a[mask], x[mask])
    lazy_mask = da.from_array(mask, chunks=data.draw(cuts(mask.shape)))
    check(a[lazy_mask], x[mask])


@given(data=st.data())
def test_mask_of_one_axis(data) -> None:
    x, a = data.draw(lazy(dtypes=("i4",), shape=hnp.array_shapes(min_dims=2, max_dims=3, max_side=6)))
    axis = data.draw(st.integers(0, x.ndim - 1))
    mask = data.draw(hnp.arrays("?", (x.shape[axis],)))
    key = (slice(None),) * axis
    check(a[(*key, mask)], x[(*key, mask)])
    check(a[(*key, da.from_array(mask, chunks=2))], x[(*key, mask)])


@given(data=st.data())
def test_assignment_to_a_part(data) -> None:
    x, a = data.draw(lazy(dtypes=("i4", "f8")))
    key = data.draw(hnp.basic_indices(x.shape, allow_ellipsis=True))
    expected = x.copy()
    part = np.asarray(expected[key])
    value = data.draw(
        st.one_of(
            st.integers(-5, 5), arrays(dtypes=("i4", "f8"), shape=part.shape, elements=st.integers(-9, 9))
        )
    )
    expected[key] = value
    before = a + 0
    a[key] = value
    check(a, expected)
    check(before, x)


@given(data=st.data())
def test_assignment_through_a_mask(data) -> None:
    x, a = data.draw(lazy(dtypes=("i4", "f8")))
    mask = data.draw(hnp.arrays("?", x.shape))
    expected = x.copy()
    expected[mask] = 7
    a[da.from_array(mask)] = 7
    check(a, expected)


def test_assignment_forms() -> None:
    x = np.arange(12.0).reshape(3, 4)
    a = da.from_array(x.copy(), chunks=2)
    a[a > 5] = 0
    a[1] = np.arange(4)
    a[:, 0] = da.arange(3) * 10
    a[[0, -1]] = -1
    a[..., 3] += 100
    expected = x.copy()
    expected[expected > 5] = 0
    expected[1] = np.arange(4)
    expected[:, 0] = np.arange(3) * 10
    expected[[0, -1]] = -1
    expected[..., 3] += 100
    check(a, expected)


@given(data=st.data())
def test_assignment_at_positions(data) -> None:
    x, a = data.draw(lazy(dtypes=("i4", "f8")))
    axis = data.draw(st.integers(0, x.ndim - 1)) if x.ndim else None
    if axis is None or x.shape[axis] == 0:
        return
    n = x.shape[axis]
    if data.draw(st.booleans()):
        positions = np.array(data.draw(st.lists(st.integers(-n, n - 1), max_size=2 * n)), int)
    else:
        positions = data.draw(hnp.arrays("?", n))
    key: tuple = (slice(None),) * axis + (positions,)
    count = x[key].shape[axis]
    shape = data.draw(
        st.sampled_from([x[key].shape, x[key].shape[axis:], (count,) + (1,) * (x.ndim - axis - 1), ()])
    )
    value = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(x.dtype) - 3
    expected = x.copy()
    expected[key] = value
    a[key] = da.from_array(value) if shape and data.draw(st.booleans()) else value
    check(a, expected)


@given(data=st.data())
def test_assignment_of_an_array_through_a_mask(data) -> None:
    x, a = data.draw(lazy(dtypes=("i4", "f8")))
    mask = data.draw(hnp.arrays("?", x.shape))
    if not x.ndim:
        return
    value = np.arange(int(mask.sum())).astype(x.dtype) - 3
    expected = x.copy()
    expected[mask] = value
    a[da.from_array(mask) if data.draw(st.booleans()) else mask] = (
        da.from_array(value, chunks=2) if data.draw(st.booleans()) else value
    )
    check(a, expected)


def test_assignment_along_one_axis_beside_others() -> None:
    x = np.arange(60.0).reshape(5, 4, 3)
    for key, value in (
        ((slice(1, 4), [3, 0, 3]), np.arange(9.0).reshape(3, 3)),
        ((slice(None, None, -2), slice(None), [0, -1]), 7.0),
        ((2, [1, 0]), np.arange(6.0).reshape(2, 3)),
        ((..., [True, False, True]), np.array([1.0, 2.0])),
        (([0, 0, 4],), np.arange(3.0).reshape(3, 1, 1)),
        (([[0, 1], [1, 2]],), 5.0),
        (([],), 5.0),
    ):
        expected, a = x.copy(), da.from_array(x.copy(), chunks=2)
        expected[key] = value
        a[key] = value
        check(a, expected)
    expected, a = x.copy(), da.from_array(x.copy(), chunks=2)
    expected[:, expected[0, :, 0] > 4] = 1
    a[:, a[0, :, 0] > 4] = 1
    check(a, expected)


def test_unknown_lengths() -> None:
    x = np.arange(20)
    a = da.from_array(x, chunks=6)
    y = a[a % 3 == 0]
    assert y.shape == (None,)
    assert y.size is None
    check((y * 2 + 1).sum(), (x[x % 3 == 0] * 2 + 1).sum())
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        y.reshape(2, -1)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        y[2]
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        len(y)
    y.compute_chunk_sizes()
    assert y.shape == (7,)
    check(y[2:4], x[x % 3 == 0][2:4])


@pytest.mark.parametrize("key", [5, -6, (0, 9), (0, 0, 0), np.array([7]), [1, 99]])
def test_out_of_range(key) -> None:
    x = np.ones((5, 4))
    with pytest.raises(IndexError):
        x[key]
    with pytest.raises(IndexError):
        da.from_array(x, chunks=2)[key]


@pytest.mark.parametrize("key", ["a", 1.5, np.ones(3, bool), (Ellipsis, Ellipsis), np.array([0.5])])
def test_bad_keys(key) -> None:
    with pytest.raises(IndexError):
        np.ones((5, 4))[key]
    with pytest.raises(IndexError):
        da.ones((5, 4), chunks=2)[key]


def test_bad_assignments() -> None:
    a = da.ones((5, 4), chunks=2)
    with pytest.raises(ValueError, match="could not broadcast input array"):
        a[1:3] = np.ones((3, 4))
    with pytest.raises(TypeError, match="complex"):
        a[0] = 1j
    x = np.ones((5, 4))
    for key, value in (
        ([0, 1], np.ones((3, 4))),
        ([0, 9], 1.0),
        (np.array([True] * 4), 1.0),
        (x > 0, np.ones(3)),
        (x > 0, np.ones((5, 4))),
        (np.array([True, False, True, False, True]), np.ones((2, 4))),
    ):
        same_error(
            lambda k=key, v=value: assigned(da.from_array(x, chunks=2), k, v),
            lambda k=key, v=value: assigned(x, k, v),
        )
    with pytest.raises(ValueError, match="3 input values to the 20 output"):
        assigned(a, a > 0, np.ones(3)).compute()
    with pytest.raises(NotImplementedError, match="where"):
        a[[0, 1], [0, 1]] = 1
    with pytest.raises(NotImplementedError, match="compute the mask first"):
        a[:, a[0] > 0] = np.ones((5, 4))
    with pytest.raises(NotImplementedError, match="ravel the index array"):
        a[[[0, 1], [1, 2]]] = np.ones((2, 2, 4))


def assigned(x, key, value):
    x = x.copy()
    x[key] = value
    return x.compute() if isinstance(x, da.Array) else x


@given(data=st.data())
def test_positions_of_what_is_not_zero(data) -> None:
    x, a = data.draw(lazy(dtypes=("i4", "?")))
    if x.ndim == 0:
        with pytest.raises(ValueError, match="0d"):
            da.nonzero(a)
    else:
        for ours, numpys in zip(da.nonzero(a), np.nonzero(x), strict=True):
            check(ours, numpys)
        for ours, numpys in zip(np.where(a), np.where(x), strict=True):
            check(ours, numpys)
        check(a.nonzero()[0], x.nonzero()[0])
    check(da.flatnonzero(a), np.flatnonzero(x))
    check(np.argwhere(a), np.argwhere(x))
    check(da.count_nonzero(a), np.asarray(np.count_nonzero(x)))


def test_what_is_not_supported_says_so() -> None:
    a = da.ones((5, 4), chunks=2)
    with pytest.raises(NotImplementedError, match="several axes"):
        a[[0, 1], [1, 2]]
    with pytest.raises(IndexError, match="compute integer indices first"):
        a[da.arange(3)]


def test_lists_booleans_and_newaxis() -> None:
    x = np.arange(6).reshape(2, 3)
    a = da.from_array(x, chunks=2)
    check(a[[]], x[[]])
    check(a[True], x[True])
    check(a[False], x[False])
    check(a[None, ..., None, 0], x[None, ..., None, 0])
    check(a[:, [2, 0]], x[:, [2, 0]])
    check(a[:, [[2, 0], [1, 1]]], x[:, [[2, 0], [1, 1]]])
    check(a[..., [[2], [0]]], x[..., [[2], [0]]])


def test_iteration() -> None:
    a = da.from_array(np.arange(6).reshape(3, 2), chunks=2)
    assert [row.compute().tolist() for row in a] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(TypeError, match="0-d"):
        iter(a.sum())


def test_blocks() -> None:
    x = np.arange(30).reshape(5, 6)
    a = da.from_array(x, chunks=(2, 4))
    check(a.blocks[1], x[2:4])
    check(a.blocks[-1, 0], x[4:, :4])
    check(a.blocks[:2, 1], x[:4, 4:])
    check(a.blocks[[2, 0]], np.concatenate([x[4:], x[:2]]))
    assert a.blocks.shape == (3, 2)
    assert [b.shape for b in a.blocks.ravel()][:2] == [(2, 4), (2, 2)]
    with pytest.raises(IndexError, match="block 3 is out of bounds"):
        a.blocks[3]


@pytest.mark.parametrize("offset", [-3, -1, 0, 2, 9])
@pytest.mark.parametrize("shape", [(5, 5), (4, 7), (7, 3)])
def test_diagonal(shape, offset) -> None:
    x = np.arange(shape[0] * shape[1]).reshape(shape)
    a = da.from_array(x, chunks=(2, 3))
    check(da.diagonal(a, offset), np.diagonal(x, offset))
    check(a.trace(offset), np.asarray(x.trace(offset)))
    check(da.diag(a, offset), np.diag(x, offset))


def test_compress_and_extract() -> None:
    x = np.arange(12).reshape(3, 4)
    a = da.from_array(x, chunks=2)
    check(da.compress([True, False, True], a, axis=0), np.compress([True, False, True], x, axis=0))
    check(da.compress(da.asarray([0, 1, 1, 0]), a, axis=1), np.compress([0, 1, 1, 0], x, axis=1))
    check(da.extract(a % 2 == 0, a), np.extract(x % 2 == 0, x))
