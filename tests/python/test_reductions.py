"""Reductions and running sums against NumPy's."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pantile.array as da
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.python.helpers import FLOATS, INTEGERS, NUMBERS, arrays, check, cuts, lazy, values

REAL = ("?", *INTEGERS, *FLOATS)


def axes_of(ndim: int) -> st.SearchStrategy:
    one = st.integers(-ndim, ndim - 1) if ndim else st.just(None)
    several = (
        st.lists(st.integers(0, max(ndim - 1, 0)), unique=True, max_size=ndim).map(tuple)
        if ndim
        else st.just(None)
    )
    return st.one_of(st.none(), one, several)


def moderate(dtype: str) -> st.SearchStrategy:
    """Values whose sums and products neither overflow nor cancel, with NaN and infinities."""
    if np.dtype(dtype).kind == "c":
        return st.builds(complex, st.integers(-3, 3), st.integers(-3, 3))
    if np.dtype(dtype).kind == "f":
        return st.one_of(st.integers(-3, 3).map(float), st.sampled_from([np.nan, np.inf, -0.0, 0.5]))
    return values(dtype)


@st.composite
def cases(draw, dtypes=NUMBERS):
    dtype = draw(st.sampled_from(dtypes))
    x = draw(arrays(dtypes=(dtype,), elements=moderate(dtype)))
    return x, da.from_array(x, chunks=draw(cuts(x.shape))), draw(axes_of(x.ndim)), draw(st.booleans())


def both(ours, numpys):
    """Results of both, or None if both raise ValueError or TypeError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = numpys()
        except (ValueError, TypeError):
            with pytest.raises((ValueError, TypeError)):
                ours().compute()
            return None
    return ours(), expected


def loosened(expected) -> float | None:
    kind = np.asarray(expected).dtype
    return {"f": {2: 2e-2, 4: 1e-5, 8: 1e-12}, "c": {8: 1e-5, 16: 1e-12}}.get(kind.kind, {}).get(
        kind.itemsize
    )


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "std", "var", "any", "all"])
@given(case=cases())
def test_reduction(name, case) -> None:
    x, a, axis, keepdims = case
    found = both(
        lambda: getattr(da, name)(a, axis=axis, keepdims=keepdims),
        lambda: getattr(np, name)(x, axis=axis, keepdims=keepdims),
    )
    if found:
        check(*found, loosened(found[1]), atol=1e-2 if x.dtype == "f2" else 1e-6)


@pytest.mark.parametrize("name", ["min", "max", "ptp"])
@given(case=cases(REAL))
def test_extremum(name, case) -> None:
    x, a, axis, keepdims = case
    found = both(
        lambda: getattr(da, name)(a, axis=axis, keepdims=keepdims),
        lambda: getattr(np, name)(x, axis=axis, keepdims=keepdims),
    )
    if found:
        check(*found)


@pytest.mark.parametrize("name", ["argmin", "argmax"])
@given(data=st.data(), case=cases(REAL))
def test_position(name, data, case) -> None:
    x, a, _, keepdims = case
    axis = data.draw(st.one_of(st.none(), st.integers(-x.ndim, x.ndim - 1))) if x.ndim else None
    found = both(
        lambda: getattr(da, name)(a, axis=axis, keepdims=keepdims),
        lambda: getattr(np, name)(x, axis=axis, keepdims=keepdims),
    )
    if found:
        check(*found)


@pytest.mark.parametrize("name", ["min", "max", "ptp", "argmin", "argmax", "nanmin", "nanmax"])
@given(data=st.data(), case=cases(("c8", "c16")))
def test_complex_numbers_are_in_lexicographic_order(name, data, case) -> None:
    x, a, axis, keepdims = case
    if data.draw(st.booleans()) and x.size:
        # One NaN, in either part or both. Among several, NumPy's own vector loops do not always give the first.
        x = x.copy()
        x.flat[data.draw(st.integers(0, x.size - 1))] = data.draw(
            st.sampled_from([complex(np.nan, 1), complex(np.nan, np.nan), complex(np.nan, -np.inf)])
        )
        a = da.from_array(x, chunks=data.draw(cuts(x.shape)))
    if name.startswith("arg"):
        axis = None if axis is None or x.ndim == 0 else axis if isinstance(axis, int) else None
    if name.startswith("nan") and np.isnan(x).all(axis=axis).any():
        return
    found = both(
        lambda: getattr(da, name)(a, axis=axis, keepdims=keepdims),
        lambda: getattr(np, name)(x, axis=axis, keepdims=keepdims),
    )
    if found:
        check(*found)


def test_complex_nan_comes_first() -> None:
    nan = np.nan
    x = np.array([5, complex(1, nan), complex(nan, 2), 7])
    for chunks in (4, 1, 3):
        a = da.from_array(x, chunks=chunks)
        # The first NaN, whole; NumPy's argmax passes over one whose real part is smaller than the largest so far.
        np.testing.assert_array_equal(a.max().compute(), np.max(x))
        np.testing.assert_array_equal(a.min().compute(), np.min(x))
        assert (a.argmax().compute(), a.argmin().compute()) == (1, 1)
        assert da.nanmax(a).compute() == 7
        assert da.nanargmin(a).compute() == 0


@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmean", "nanstd", "nanvar", "nanmin", "nanmax"])
@given(case=cases(("i4", "f4", "f8")))
def test_without_nan(name, case) -> None:
    x, a, axis, keepdims = case
    found = both(
        lambda: getattr(da, name)(a, axis=axis, keepdims=keepdims),
        lambda: getattr(np, name)(x, axis=axis, keepdims=keepdims),
    )
    if found:
        check(*found, loosened(found[1]), atol=1e-6)


@pytest.mark.parametrize("name", ["nanargmin", "nanargmax"])
@given(data=st.data())
def test_position_without_nan(name, data) -> None:
    x = data.draw(
        arrays(dtypes=("f4", "f8"), shape=data.draw(st.sampled_from([(4,), (3, 4)])), elements=moderate("f8"))
    )
    # Among NaN and infinities alone, NumPy's answer may be a NaN's position; its documentation says so.
    x[np.isinf(x)] = 9
    axis = data.draw(st.sampled_from([None, *range(x.ndim)]))
    a = da.from_array(x, chunks=data.draw(cuts(x.shape)))
    try:
        expected = getattr(np, name)(x, axis=axis)
    except ValueError:
        with pytest.raises(ValueError, match="All-NaN slice"):
            getattr(da, name)(a, axis=axis).compute()
        return
    check(getattr(da, name)(a, axis=axis), expected)


TIMES = hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=6)


@st.composite
def times(draw: Any, dtypes: tuple[str, ...]) -> Any:
    """Times, NaT often, sometimes nothing else."""
    dtype = draw(st.sampled_from(dtypes))
    some = st.one_of(st.just(-(2**63)), st.integers(-1000, 1000))
    elements = draw(st.sampled_from([some, st.integers(-9, 9), st.just(-(2**63))]))
    x = draw(hnp.arrays("i8", draw(TIMES), elements=elements)).view(dtype)
    return x, da.from_array(x, chunks=draw(cuts(x.shape)))


@pytest.mark.parametrize("name", ["min", "max", "nanmin", "nanmax", "argmin", "argmax", "ptp", "any", "all"])
@given(data=st.data())
def test_times(name: str, data: Any) -> None:
    x, a = data.draw(times(("m8[s]", "M8[D]")))
    axis = data.draw(st.sampled_from([None, *range(x.ndim)]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "All-NaN slice encountered"
        expected = getattr(np, name)(x, axis=axis)
    check(getattr(da, name)(a, axis=axis), expected)


@pytest.mark.parametrize("name", ["sum", "nansum", "cumsum", "nancumsum", "nanargmin", "nanargmax"])
@given(data=st.data())
def test_durations(name: str, data: Any) -> None:
    x, a = data.draw(times(("m8[ms]",)))
    axis = data.draw(st.sampled_from([None, *range(x.ndim)]))
    check(getattr(da, name)(a, axis=axis), getattr(np, name)(x, axis=axis))


@given(data=st.data())
def test_durations_with_initial_and_where(data: Any) -> None:
    x, a = data.draw(times(("m8[s]",)))
    where = data.draw(hnp.arrays("?", x.shape))
    initial = data.draw(st.sampled_from([0, 7, True, np.timedelta64(2, "m"), np.timedelta64("NaT")]))
    for name in ("sum", "min", "max", "nanmin", "nanmax"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "All-NaN slice encountered"
            expected = getattr(np, name)(x, initial=initial, where=where)
        check(getattr(da, name)(a, initial=initial, where=where), expected)


def test_durations_and_what_they_have_not() -> None:
    x = np.array([3, "NaT", 5], "m8[s]")
    a = da.from_array(x, chunks=2)
    assert np.isnat(a.sum().compute())
    assert a.argmax().compute() == 1
    check(da.median(a[::2]), np.median(x[::2]))
    check(da.nanmedian(a), np.nanmedian(x))
    check(a.sum(dtype="i8"), x.sum(dtype="i8"))
    check(a.cumsum(dtype="i8"), x.cumsum(dtype="i8"))
    with pytest.raises(TypeError, match="whole number of units"):
        a.max(initial=2.5)
    for name in ("sum", "cumsum", "median", "prod"):
        with pytest.raises(TypeError):
            getattr(da, name)(a.astype("M8[s]"))


@given(case=cases(("i4", "f8")), ddof=st.integers(0, 2))
def test_ddof(case, ddof) -> None:
    x, a, axis, _ = case
    found = both(lambda: da.var(a, axis=axis, ddof=ddof), lambda: np.var(x, axis=axis, ddof=ddof))
    if found:
        check(*found, 1e-11, atol=1e-12)


@given(case=cases(("i4", "f8")))
def test_where_and_initial(case) -> None:
    x, a, axis, keepdims = case
    mask = np.indices(x.shape).sum(axis=0) % 2 == 0
    check(
        da.sum(a, axis=axis, keepdims=keepdims, where=mask, initial=3),
        np.sum(x, axis=axis, keepdims=keepdims, where=mask, initial=3),
        1e-12,
    )
    check(da.max(a, axis=axis, where=mask, initial=-100), np.max(x, axis=axis, where=mask, initial=-100))
    with pytest.raises(ValueError, match="has to specify 'initial'"):
        da.max(a, where=mask)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "c16"])
def test_dtype(dtype) -> None:
    x = np.arange(12, dtype="i2").reshape(3, 4)
    a = da.from_array(x, chunks=2)
    for name in ("sum", "prod", "mean", "cumsum"):
        check(getattr(a, name)(axis=1, dtype=dtype), getattr(x, name)(axis=1, dtype=dtype))


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "nancumsum", "nancumprod"])
@given(data=st.data(), case=cases())
def test_running(name, data, case) -> None:
    x, a, _, _ = case
    axis = data.draw(st.one_of(st.none(), st.integers(-x.ndim, x.ndim - 1))) if x.ndim else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = getattr(np, name)(x, axis=axis)
    if expected.dtype.kind == "c" and "prod" in name:
        assert getattr(da, name)(a, axis=axis).dtype == expected.dtype
        return
    check(getattr(da, name)(a, axis=axis), expected, {2: 3e-2, 4: 1e-5}.get(expected.dtype.itemsize, 1e-11))


def test_first_sums_of_a_process_are_as_accurate_as_later_ones() -> None:
    code = (
        "import numpy as np, pantile.array as da\n"
        "x = np.full(1000, 0.1, 'f4')\n"
        "print(abs(float(da.from_array(x).sum().compute()) - 1000 * float(x[0])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # NumPy's error is 6e-6.
    assert float(done.stdout) < 5e-5


def test_moments_are_accurate() -> None:
    y = np.full(1_000_000, 1e8) + np.tile([0.0, 1.0], 500_000)
    assert float(da.from_array(y, chunks=99_999).var().compute()) == pytest.approx(0.25, rel=1e-9)


def test_average() -> None:
    x = np.arange(6.0).reshape(2, 3)
    w = np.array([3.0, 1.0, 2.0])
    a = da.from_array(x, chunks=2)
    check(da.average(a), np.average(x))
    check(da.average(a, axis=1, weights=w), np.average(x, axis=1, weights=w))
    check(da.average(a, weights=x), np.average(x, weights=x))
    for ours, numpys in zip(
        da.average(a, axis=0, weights=[1, 2], returned=True),
        np.average(x, axis=0, weights=[1, 2], returned=True),
        strict=True,
    ):
        check(ours, numpys)
    with pytest.raises(TypeError, match="Axis must be specified"):
        da.average(a, weights=w)


@given(pair=lazy(dtypes=("?", "i4", "f8")))
def test_count_nonzero(pair) -> None:
    x, a = pair
    check(da.count_nonzero(a), np.asarray(np.count_nonzero(x)))


def test_median() -> None:
    x = np.arange(24.0).reshape(2, 3, 4) % 7
    a = da.from_array(x, chunks=2)
    for axis in (None, 0, (0, 2), -1):
        check(da.median(a, axis=axis), np.median(x, axis=axis))
        check(da.median(a, axis=axis, keepdims=True), np.median(x, axis=axis, keepdims=True))
    x[0, 0] = np.nan
    check(da.nanmedian(da.from_array(x, chunks=2), axis=1), np.nanmedian(x, axis=1))


@pytest.mark.parametrize("axis", [3, -4, (0, 5)])
def test_axis_out_of_range(axis) -> None:
    x = np.ones((2, 3, 4))
    with pytest.raises(np.exceptions.AxisError, match="is out of bounds for array of dimension 3"):
        da.from_array(x).sum(axis=axis)


def test_axis_twice() -> None:
    with pytest.raises(ValueError, match="duplicate value in 'axis'"):
        da.ones((2, 2)).sum(axis=(0, -2))


def test_out() -> None:
    a = da.ones((3, 4), chunks=2)
    out = da.zeros(4)
    assert da.sum(a, axis=0, out=out) is out
    check(out, np.full(4, 3.0))
    target = np.zeros(3)
    a.mean(axis=1, out=target)
    np.testing.assert_array_equal(target, 1.0)


def test_many_reductions_of_one_source_agree_with_each_alone() -> None:
    import pantile

    x = np.random.default_rng(0).normal(size=(50, 30))
    a = da.from_array(x, chunks=7)
    mean, std, top, total = pantile.compute(a.mean(), a.std(axis=0), a.max(), {"sum": [a.sum()]})
    check(mean, x.mean(), 1e-13)
    check(std, x.std(axis=0), 1e-13)
    check(top, x.max())
    check(total["sum"][0], x.sum(), 1e-13)
