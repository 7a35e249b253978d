"""Strategies and comparisons for property tests against NumPy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pantile.array as da
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

INTEGERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
FLOATS = ("f2", "f4", "f8")
COMPLEX = ("c8", "c16")
NUMBERS = ("?", *INTEGERS, *FLOATS, *COMPLEX)

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, -7.25, np.nan, np.inf, -np.inf, 100.0]

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=7)


def values(dtype: str) -> st.SearchStrategy[Any]:
    """Elements of a dtype, the awkward ones often."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return st.booleans()
    if kind in "iu":
        info = np.iinfo(dtype)
        small = st.integers(max(info.min, -9), 9)
        return st.one_of(small, small, st.sampled_from([info.min, info.max]), st.integers(info.min, info.max))
    width = 8 * np.dtype(dtype).itemsize
    if kind == "f":
        return st.one_of(st.sampled_from(SPECIAL), st.floats(-60, 60, width=min(width, 64)))
    part = st.one_of(st.sampled_from([0.0, -0.0, 1.0, -2.5, 3.0]), st.floats(-8, 8, width=32))
    return st.builds(complex, part, part)


@st.composite
def arrays(
    draw: Any, dtypes: Any = NUMBERS, shape: Any = SHAPES, elements: Any = None
) -> np.ndarray[Any, Any]:
    """An array, sometimes with negative or doubled strides, or transposed."""
    dtype = draw(st.sampled_from(dtypes))
    lengths = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    base = draw(hnp.arrays(dtype, lengths, elements=values(dtype) if elements is None else elements))
    layout = draw(st.sampled_from(["plain", "plain", "reversed", "strided", "fortran"]))
    if not base.ndim:
        return base
    if layout == "reversed":
        return base[tuple(slice(None, None, -1) for _ in lengths)].copy()[
            tuple(slice(None, None, -1) for _ in lengths)
        ]
    if layout == "strided":
        wide = np.zeros((*base.shape[:-1], base.shape[-1] * 2), dtype)
        wide[..., ::2] = base
        return wide[..., ::2]
    return np.asfortranarray(base) if layout == "fortran" else base


@st.composite
def cuts(draw: Any, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Uneven chunks of a shape."""
    result = []
    for n in shape:
        places = draw(st.lists(st.integers(1, n - 1), max_size=3, unique=True)) if n > 1 else []
        ends = [0, *sorted(places), n]
        result.append(tuple(b - a for a, b in pairwise(ends)))
    return tuple(result)


@st.composite
def lazy(draw: Any, **kwargs: Any) -> tuple[np.ndarray[Any, Any], da.Array]:
    """An array and the lazy array over it."""
    x = draw(arrays(**kwargs))
    return x, da.from_array(x, chunks=draw(cuts(x.shape)))


TOLERANCE = {"f2": 4e-3, "f4": 4e-6, "f8": 1e-12, "c8": 4e-6, "c16": 1e-12}


def check(ours: Any, numpys: Any, rtol: float | None = None, atol: float = 0.0) -> None:
    """The same dtype, shape and values as NumPy's answer; floats within a few units of the last place, or `rtol`."""
    result = ours.compute() if isinstance(ours, da.Array) else ours
    expected = np.asarray(numpys)
    if isinstance(ours, da.Array):
        assert ours.dtype == np.asarray(result).dtype
        if None not in ours.shape:
            assert ours.shape == np.shape(result)
    assert np.asarray(result).dtype == expected.dtype
    assert np.shape(result) == expected.shape
    if expected.dtype.kind in "fc":
        if rtol is None:
            rtol = TOLERANCE[expected.dtype.str[1:]]
        np.testing.assert_allclose(result, expected, rtol=rtol, atol=atol)
    else:
        np.testing.assert_array_equal(result, expected)


def same_error(ours: Any, numpys: Any) -> None:
    """Both raise, and ours is a kind of NumPy's exception."""
    try:
        numpys()
    except Exception as error:
        family = next(c for c in type(error).__mro__ if c.__module__ == "builtins")
    else:
        raise AssertionError("NumPy does not raise")
    with pytest.raises(family):
        ours()
