"""NumPy's functions on lazy arrays, conversions, and what is refused because it would compute."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pantile.array as da
import pytest

from tests.python.helpers import check

X = np.arange(12.0).reshape(3, 4) + 1


def lazy() -> da.Array:
    return da.from_array(X, chunks=2)


def test_ufuncs() -> None:
    check(np.sin(lazy()), np.sin(X), 1e-15)
    check(np.add(lazy(), 1), X + 1)
    check(np.add(X, lazy()), X + X)
    check(np.multiply.outer(lazy()[0], lazy()[1]), np.multiply.outer(X[0], X[1]))
    check(np.add.reduce(lazy()), np.add.reduce(X))
    check(np.maximum.reduce(lazy(), axis=1), np.maximum.reduce(X, axis=1))
    check(np.logical_and.reduce(lazy() > 3, axis=None), np.logical_and.reduce(X > 3, axis=None))
    check(np.add.accumulate(lazy(), axis=1), np.add.accumulate(X, axis=1))
    check(np.matmul(lazy(), lazy().T), X @ X.T)
    out = lazy()
    assert np.add(lazy(), 1, out=out) is out
    check(out, X + 1)
    target = np.zeros_like(X)
    np.add(lazy(), 1, out=target)
    np.testing.assert_array_equal(target, X + 1)


def test_numpy_operands_on_the_left() -> None:
    check(X - lazy(), X - X)
    check(np.float32(2) * lazy(), np.float32(2) * X)
    check([1.0, 2.0, 3.0, 4.0] + lazy(), [1.0, 2.0, 3.0, 4.0] + X)
    target = X.copy()
    target += lazy()
    np.testing.assert_array_equal(target, 2 * X)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.mean(x),
        lambda x: np.sum(x, axis=0),
        lambda x: np.std(x, ddof=1),
        lambda x: np.concatenate([x, x]),
        lambda x: np.stack([x, x]),
        lambda x: np.where(x > 3, x, 0),
        lambda x: np.clip(x, 2, 5),
        lambda x: np.transpose(x),
        lambda x: np.reshape(x, (2, 6)),
        lambda x: np.argmax(x, axis=1),
        lambda x: np.cumsum(x),
        lambda x: np.dot(x, x.T),
        lambda x: np.einsum("ij->i", x),
        lambda x: np.tensordot(x, x),
        lambda x: np.linalg.norm(x),
        lambda x: np.round(x / 3, 2),
        lambda x: np.nanmean(x),
        lambda x: np.average(x, axis=0),
        lambda x: np.ptp(x, axis=0),
        lambda x: np.diff(x),
        lambda x: np.pad(x, 1),
        lambda x: np.zeros_like(x),
        lambda x: np.broadcast_to(x, (2, 3, 4)),
        lambda x: np.isclose(x, 3),
        lambda x: np.moveaxis(x, 0, 1),
        lambda x: np.take(x, [0, 2], axis=1),
        lambda x: np.real(x),
        lambda x: np.repeat(x, 2),
        lambda x: np.tile(x, 2),
        lambda x: np.trace(x),
        lambda x: np.vstack([x, x]),
        lambda x: np.roll(x, 1),
        lambda x: np.flip(x),
        lambda x: np.median(x, axis=0),
        lambda x: np.ravel(x),
        lambda x: np.expand_dims(x, 0),
        lambda x: np.squeeze(x),
        lambda x: np.count_nonzero(x, axis=0),
        lambda x: np.outer(x, x),
        lambda x: np.amax(x),
        lambda x: np.tril(x),
        lambda x: np.digitize(x, [2, 5]),
        lambda x: np.nan_to_num(x),
        lambda x: np.copy(x),
    ],
)
def test_functions_stay_lazy(call) -> None:
    result = call(lazy())
    assert isinstance(result, da.Array)
    check(result, call(X), 1e-12)


def test_questions_about_shape_and_dtype() -> None:
    assert np.shape(lazy()) == (3, 4)
    assert np.ndim(lazy()) == 2
    assert np.size(lazy()) == 12
    assert np.result_type(lazy(), np.complex64) == np.complex128
    assert not np.iscomplexobj(lazy())
    assert bool(np.array_equal(lazy(), lazy()).compute())


def test_what_is_missing_says_so() -> None:
    with pytest.raises(
        TypeError, match=r"numpy\.sort is not available for lazy arrays; use x\.compute\(\) first"
    ):
        np.sort(lazy())
    with pytest.raises(TypeError, match=r"numpy\.subtract\.accumulate is not available"):
        np.subtract.accumulate(lazy())
    with pytest.raises(TypeError, match=r"numpy\.add\.at is not available"):
        np.add.at(lazy(), 0, 1)


def test_conversion_computes_because_numpy_asks() -> None:
    np.testing.assert_array_equal(np.asarray(lazy()), X)
    assert np.asarray(lazy(), dtype="f4").dtype == np.float32
    with pytest.raises(ValueError, match="copy=False"):
        np.asarray(lazy(), copy=False)


@pytest.mark.parametrize("ask", [bool, float, int, complex, lambda x: range(3)[x], lambda x: 3 in x])
def test_nothing_computes_by_itself(ask) -> None:
    with pytest.raises(TypeError, match=r"use x\.compute\(\)"):
        ask(lazy().sum())


def test_copies_share_the_expression() -> None:
    a = lazy()
    for b in (a.copy(), copy.copy(a), copy.deepcopy(a)):
        b[0] = 0
        check(a, X)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(a)
    with pytest.raises(TypeError, match="unhashable"):
        hash(a)


def test_other_libraries_may_take_over() -> None:
    class Mine:
        __array_ufunc__ = None

        def __radd__(self, other):
            return "mine"

    assert lazy() + Mine() == "mine"


def test_attributes() -> None:
    a = lazy()
    assert (a.shape, a.dtype, a.ndim, a.size, a.nbytes, a.itemsize) == ((3, 4), np.dtype("f8"), 2, 12, 96, 8)
    assert (a.chunks, a.chunksize, a.numblocks, a.npartitions) == (((2, 1), (2, 2)), (2, 2), (2, 2), 4)
    assert len(a) == 3
    with pytest.raises(TypeError, match="unsized"):
        len(a.sum())
    check(a.real, X)
    check(a.imag, X * 0)
    check(a.view("i8"), X.view("i8"))
    check(a.conj(), X)


def test_representations() -> None:
    text = repr(lazy() + 1)
    assert "shape=(3, 4)" in text
    assert "float64" in text
    for shape in [(), (5,), (4, 6), (3, 4, 5), (2, 3, 4, 5), (1000, 1), (0, 3)]:
        html = da.ones(shape, chunks=2 if shape else ())._repr_html_()
        assert html.count("<table") == 2
        if shape:
            assert "<svg" in html
    masked = lazy()[lazy() > 3]
    assert "None" in repr(masked)
    assert "unknown" in masked._repr_html_()
