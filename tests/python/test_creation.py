"""Making arrays, against NumPy's functions of the same names."""

from __future__ import annotations

import numpy as np
import pantile.array as da
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.python.helpers import NUMBERS, arrays, check, cuts, same_error


@given(data=st.data())
def test_from_array(data) -> None:
    x = data.draw(arrays())
    a = da.from_array(x, chunks=data.draw(cuts(x.shape)))
    assert a.dtype == x.dtype
    assert a.shape == x.shape
    check(a, x)


def test_numpy_arrays_are_not_copied() -> None:
    x = np.zeros(4)
    a = da.from_array(x, chunks=2)
    b = da.array(x)
    x[1] = 5
    check(a, [0.0, 5.0, 0.0, 0.0])
    check(b, [0.0, 0.0, 0.0, 0.0])


def test_other_byte_order_and_records() -> None:
    x = np.arange(5, dtype=">f4")
    check(da.from_array(x, chunks=2) + 1, x.astype("f4") + 1)


def test_anything_that_slices() -> None:
    class Squares:
        shape, dtype = (10,), np.dtype("i8")

        def __getitem__(self, key):
            return np.arange(10)[key] ** 2

    a = da.from_array(Squares(), chunks=4)
    check(a.sum(), (np.arange(10) ** 2).sum())
    check(a[7:2:-2], np.arange(10)[7:2:-2] ** 2)


def test_lists_numbers_and_nested_arrays() -> None:
    check(da.asarray([1, 2.5]), np.asarray([1, 2.5]))
    check(da.asarray(3), np.asarray(3))
    check(da.asarray([da.arange(2), da.ones(2)]), np.asarray([[0, 1], [1, 1]], float))
    check(da.array([1, 2], ndmin=3), np.array([1, 2], ndmin=3))
    a = da.ones(3)
    assert da.asarray(a) is a
    with pytest.raises(ValueError, match="lazy already"):
        da.from_array(a)


INTEGERS = st.integers(-50, 50)
STEPS = INTEGERS.filter(bool)


@given(
    start=INTEGERS, stop=INTEGERS, step=STEPS, dtype=st.sampled_from([None, "i2", "f4", "f8", "u8", "c16"])
)
def test_arange_of_integers(start, stop, step, dtype) -> None:
    try:
        np.arange(start, stop, step, dtype)
    except OverflowError:
        same_error(lambda: da.arange(start, stop, step, dtype), lambda: np.arange(start, stop, step, dtype))
        return
    check(da.arange(start, stop, step, dtype, chunks=7), np.arange(start, stop, step, dtype), 0)


@given(start=st.floats(-10, 10), span=st.floats(-10, 10), step=st.floats(0.05, 3.0))
def test_arange_of_floats(start, span, step) -> None:
    if span < 0:
        step = -step
    # NumPy fills by start + i * delta; two roundings may be one in a fused multiply.
    check(
        da.arange(start, start + span, step, chunks=7),
        np.arange(start, start + span, step),
        1e-13,
        atol=1e-13,
    )


def test_arange_forms() -> None:
    check(da.arange(5), np.arange(5))
    check(da.arange(2.5), np.arange(2.5))
    check(da.arange(np.float32(3)), np.arange(np.float32(3)))
    check(da.arange(10, 0, -3), np.arange(10, 0, -3))
    check(da.arange(0), np.arange(0))
    same_error(lambda: da.arange(1, 5, 0), lambda: np.arange(1, 5, 0))


@given(
    start=st.floats(-1e3, 1e3), stop=st.floats(-1e3, 1e3), num=st.integers(0, 40), endpoint=st.booleans(),
    dtype=st.sampled_from([None, "f4", "i4"]),
)  # fmt: skip
def test_linspace(start, stop, num, endpoint, dtype) -> None:
    ours, step = da.linspace(start, stop, num, endpoint, True, dtype, chunks=7)
    expected, numpys = np.linspace(start, stop, num, endpoint, True, dtype)
    np.testing.assert_equal(step, numpys)
    if dtype == "i4":
        # Whole numbers by floor: a rounding before it may tip one over.
        assert (abs(ours.compute() - expected) <= 1).all()
    else:
        check(ours, expected, 1e-6 if dtype else 1e-13, atol=1e-10 if dtype is None else 1e-4)
    if endpoint and num > 1:
        assert ours.compute()[-1] == expected[-1]


@pytest.mark.parametrize("dtype", NUMBERS)
def test_filled(dtype) -> None:
    for name in ("zeros", "ones"):
        check(getattr(da, name)((3, 4), dtype, chunks=2), getattr(np, name)((3, 4), dtype))
    check(da.full((2, 3), 1, dtype), np.full((2, 3), 1, dtype))
    like = da.zeros((3, 4), dtype, chunks=2)
    for name in ("zeros_like", "ones_like"):
        assert getattr(da, name)(like).chunks == like.chunks
        check(getattr(da, name)(like), getattr(np, name)(np.zeros((3, 4), dtype)))
    assert da.empty_like(like, dtype="f8").dtype == np.float64
    check(da.full_like(like, 1), np.full_like(np.zeros((3, 4), dtype), 1))


def test_filled_values() -> None:
    check(da.full(3, 2.5), np.full(3, 2.5))
    check(da.full((), np.nan), np.full((), np.nan))
    check(da.full((2, 3), [1, 2, 3]), np.full((2, 3), [1, 2, 3]))
    check(da.zeros(0), np.zeros(0))
    check(da.full(2, np.datetime64("2000-01-01")), np.full(2, np.datetime64("2000-01-01")))
    same_error(lambda: da.zeros(-1), lambda: np.zeros(-1))


@pytest.mark.parametrize("k", [-2, 0, 1, 9])
def test_matrices(k) -> None:
    check(da.eye(4, 5, k, chunks=2), np.eye(4, 5, k))
    check(da.tri(4, 5, k, chunks=2), np.tri(4, 5, k))
    x = np.arange(20.0).reshape(4, 5)
    x[0, 4] = np.nan
    a = da.from_array(x, chunks=3)
    check(da.tril(a, k), np.tril(x, k))
    check(da.triu(a, k), np.triu(x, k))
    check(da.diag(da.arange(3, chunks=2), k), np.diag(np.arange(3), k))
    check(da.identity(3), np.identity(3))


def test_grids() -> None:
    x, y, z = np.arange(3), np.linspace(0, 1, 4), np.arange(2)
    for indexing in ("xy", "ij"):
        for sparse in (False, True):
            ours = da.meshgrid(x, da.from_array(y, chunks=2), z, indexing=indexing, sparse=sparse)
            for o, n in zip(ours, np.meshgrid(x, y, z, indexing=indexing, sparse=sparse), strict=True):
                check(o, n)
    check(da.indices((2, 3), chunks=2), np.indices((2, 3)))
    check(
        da.fromfunction(lambda i, j: i * 10 + j, (3, 4), dtype=int),
        np.fromfunction(lambda i, j: i * 10 + j, (3, 4), dtype=int),
    )


def test_text_has_no_native_form() -> None:
    with pytest.raises(NotImplementedError):
        da.zeros(3, dtype="U5")


@pytest.mark.parametrize("dtype", [object, "U3", "S3"])
def test_text_and_objects_are_for_python_functions(dtype) -> None:
    x = np.array(["a", "bb", "ccc", "dd", ""], dtype)
    a = da.from_array(x, chunks=2)
    check(a, x)
    check(a.map_blocks(lambda b: np.array([len(v) for v in b]), dtype=int), [1, 2, 3, 2, 0])
    with pytest.raises((TypeError, NotImplementedError)):
        a + a
