"""Histograms, counts, covariances, the largest elements: compositions of the other functions."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from pantile import _native
from pantile.array.chunking import axis_index
from pantile.array.core import Array, as_expr, known_shape
from pantile.array.elementwise import call

__all__ = ["bincount", "corrcoef", "cov", "digitize", "gradient", "histogram", "isin", "searchsorted", "topk"]


def _per_block(x: Any, function: Any, name: str, length: int, dtype: Any, weights: Any = None) -> Array:
    """The sum over blocks of a vector that a function makes of each (and of the weights' block)."""
    e = as_expr(x)
    inputs = [e] if weights is None else list(_native.unify([e, as_expr(weights)]))
    # Every block becomes one row; the rows are summed.
    flat = [_native.reshape(v, (-1,)) if v.ndim != 1 else v for v in inputs]
    count = len(flat[0].chunks[0])
    chunks = ((1,) * count, (length,))
    rows = _native.blockwise(
        lambda block_id, *parts: function(*parts)[None],
        name,
        [(v, [("block", 0)]) for v in flat],
        chunks,
        chunks,
        np.dtype(dtype).str,
    )
    return Array(rows).sum(axis=0).astype(dtype)


def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None
) -> Any:
    """How many elements fall into each bin.

    Parameters
    ----------
    a : array_like
        The array, flattened.
    bins : int or sequence
        How many bins, or their edges.
    range : pair of numbers, optional
        The lowest and highest edge; needed with a number of bins, since the values are not known yet.
    density : bool, optional
        Whether counts are divided by their sum and the bins' widths.
    weights : array_like, optional
        What each element counts.

    Returns
    -------
    (Array, numpy.ndarray)
        The counts, lazily, and the edges.

    Examples
    --------
    >>> import pantile.array as da
    >>> counts, edges = da.histogram(da.arange(10, chunks=4), bins=2, range=(0, 10))
    >>> counts.compute()
    array([5, 5])
    """
    if isinstance(bins, (str, Array)):
        raise _native.UnsupportedError("histogram takes a number of bins, or their edges as numbers")
    if np.ndim(bins) == 0:
        if range is None:
            raise ValueError(
                "histogram needs range=(low, high) with a number of bins: the values are not known yet"
            )
        edges = np.histogram_bin_edges(np.empty(0), bins=operator.index(bins), range=range)
        given: Any = operator.index(bins)
    else:
        edges = np.asarray(bins)
        given = edges
        if edges.ndim != 1 or (np.diff(edges) < 0).any():
            raise ValueError("`bins` must increase monotonically, when an array")
    kind = "i8" if weights is None else np.result_type(as_expr(weights).dtype, "f8")

    def count(part: Any, *weight: Any) -> Any:
        return np.histogram(part, bins=given, range=range, weights=weight[0] if weight else None)[0].astype(
            kind
        )

    counts = _per_block(a, count, "histogram", len(edges) - 1, kind, weights)
    if density:
        counts = counts / np.diff(edges) / counts.sum()
    return counts, edges


def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Array:
    """How often each small integer occurs.

    Parameters
    ----------
    x : array_like of int
        Non-negative numbers, with one axis.
    weights : array_like, optional
        What each element counts.
    minlength : int
        One more than the largest number; needed, since the values are not known yet.

    Returns
    -------
    Array
        Of length `minlength`; larger numbers raise ValueError when it is computed.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.bincount(da.asarray([0, 1, 1, 3]), minlength=4).compute()
    array([1, 2, 0, 1])
    """
    e = as_expr(x)
    if e.ndim != 1:
        raise ValueError("object too deep for desired array: bincount takes one axis")
    length = operator.index(minlength)
    if length <= 0:
        raise ValueError("bincount needs minlength, the length of the result: the values are not known yet")

    def count(part: Any, *weight: Any) -> Any:
        found = np.bincount(part, weights=weight[0] if weight else None, minlength=length)
        if len(found) > length:
            raise ValueError(f"bincount: the value {len(found) - 1} does not fit minlength={length}")
        return found

    return _per_block(x, count, "bincount", length, "i8" if weights is None else "f8", weights)


def digitize(x: Any, bins: Any, right: bool = False) -> Array:
    """The bin of each element.

    Parameters
    ----------
    x : array_like
        The array.
    bins : array_like
        The edges, monotonic.
    right : bool
        Whether an element on an edge belongs to the bin below it.

    Returns
    -------
    Array
        Of int64.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.digitize(da.asarray([0.5, 1.5]), [1.0, 2.0]).compute()
    array([0, 1])
    """
    from pantile.array.blocks import map_blocks

    edges = np.asarray(bins)
    np.digitize(np.empty(0), edges, right)  # checks the edges
    return map_blocks(lambda b: np.digitize(b, edges, right), Array(as_expr(x)), dtype="i8", name="digitize")


def searchsorted(a: Any, v: Any, side: str = "left") -> Array:
    """Where elements would go into a sorted array.

    Parameters
    ----------
    a : array_like
        Sorted numbers, with one axis; held whole by every task.
    v : array_like
        The elements.
    side : {'left', 'right'}
        Before or after equal ones.

    Returns
    -------
    Array
        Of int64, and of the shape of `v`.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.searchsorted([1, 3, 5], da.asarray([0, 3, 9])).compute()
    array([0, 1, 3])
    """
    if side not in ("left", "right"):
        raise ValueError(f"search side must be 'left' or 'right' (got '{side}')")
    table, e = as_expr(a), as_expr(v)
    if table.ndim != 1:
        raise ValueError("object too deep for desired array")
    along: list[tuple[Any, ...]] = [("block", k) for k in range(e.ndim)]
    inputs: list[tuple[Any, Any]] = [(e, along), (table, [("whole",)])]
    return Array(
        _native.blockwise(
            lambda block_id, part, whole: np.searchsorted(whole, part, side=side),  # type: ignore[call-overload]
            "searchsorted",
            inputs,
            e.chunks,
            e.chunks,
            "<i8",
        )
    )


def isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False) -> Array:
    """Whether each element is among others.

    Parameters
    ----------
    element : array_like
        The array.
    test_elements : array_like
        The others, as numbers.
    assume_unique : bool
        Whether both hold each value once.
    invert : bool
        Whether the answer is inverted.

    Returns
    -------
    Array
        Of booleans.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.isin(da.arange(4), [1, 3]).compute()
    array([False,  True, False,  True])
    """
    from pantile.array.blocks import map_blocks

    if isinstance(test_elements, Array):
        raise _native.UnsupportedError("isin needs the test elements as numbers: compute them first")
    tests = np.asarray(test_elements)
    return map_blocks(
        lambda b: np.isin(b, tests, assume_unique=assume_unique, invert=invert),
        Array(as_expr(element)),
        dtype=bool,
        name="isin",
    )


def topk(a: Any, k: int, axis: int = -1) -> Array:
    """The largest elements along an axis, in descending order; the smallest for a negative `k`, ascending.

    Parameters
    ----------
    a : array_like
        The array.
    k : int
        How many.
    axis : int
        The axis.

    Returns
    -------
    Array
        Of length ``abs(k)`` along the axis, or as long as it was.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.topk(da.asarray([3, 1, 4, 1, 5], chunks=2), 2).compute()
    array([5, 4])
    """
    e = as_expr(a)
    at = axis_index(axis, e.ndim)
    k = operator.index(k)
    if k == 0:
        raise ValueError("topk needs k other than 0")
    n = known_shape(e, "topk")[at]

    def best(block_id: Any, part: Any) -> Any:
        count = min(abs(k), part.shape[at])
        if count < part.shape[at]:
            pivot = part.shape[at] - count if k > 0 else count - 1
            part = np.partition(part, pivot, axis=at)
            part = np.take(part, range(pivot, part.shape[at]) if k > 0 else range(count), axis=at)
        part = np.sort(part, axis=at)
        return np.flip(part, at) if k > 0 else part

    along: list[tuple[Any, ...]] = [("block", axis) for axis in range(e.ndim)]
    first: tuple[Any, ...] = tuple(
        tuple(min(abs(k), c or 0) for c in cuts) if axis == at else cuts for axis, cuts in enumerate(e.chunks)
    )
    partial = _native.blockwise(best, "topk", [(e, along)], first, first, e.dtype)
    along[at] = ("whole",)
    last: tuple[Any, ...] = (*first[:at], (min(abs(k), n),), *first[at + 1 :])
    return Array(_native.blockwise(best, "topk", [(partial, along)], last, last, e.dtype))


def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None) -> Array:
    """The covariance matrix of variables.

    Parameters
    ----------
    m : array_like
        Variables in rows, observations in columns.
    y : array_like, optional
        More variables.
    rowvar : bool
        False if variables are in columns.
    bias : bool
        Whether to divide by the number of observations instead of one less.
    ddof : int, optional
        What to subtract from the number of observations instead.

    Returns
    -------
    Array
        With two axes, or none for one variable.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.cov(da.asarray([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])).compute()
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    from pantile.array.manipulation import concatenate, transpose
    from pantile.array.products import matmul

    def variables(a: Any) -> Array:
        e = as_expr(a)
        if e.ndim > 2:
            raise ValueError("m has more than 2 dimensions")
        if e.ndim < 2:
            return Array(_native.expand_dims(e, tuple(range(2 - e.ndim))))
        return Array(e) if rowvar or e.shape[0] == 1 else transpose(Array(e))

    x = variables(m)
    if y is not None:
        x = concatenate([x, variables(y)], 0)
    kind = np.result_type(x.dtype, "f8")
    x = x.astype(kind)
    n = known_shape(x._expr, "cov")[1]
    divisor = n - (int(not bias) if ddof is None else ddof)
    centred = x - x.mean(axis=1, keepdims=True)
    other = transpose(centred)
    product = matmul(centred, Array(call("conjugate", other._expr)) if kind.kind == "c" else other)
    return (product / float(max(divisor, 0))).squeeze()


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Array:
    """The correlation coefficients of variables.

    Parameters
    ----------
    x : array_like
        Variables in rows, observations in columns.
    y : array_like, optional
        More variables.
    rowvar : bool
        False if variables are in columns.

    Returns
    -------
    Array
        With two axes, or none for one variable.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.corrcoef(da.asarray([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])).compute()
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    from pantile.array.creation import diag
    from pantile.array.elementwise import clip

    c = cov(x, y, rowvar)
    if c.ndim == 0:
        return c / c
    scale = Array(call("sqrt", call("real", diag(c)._expr)))
    r = c / scale[:, None] / scale[None, :]
    return r if r.dtype.kind == "c" else clip(r, -1, 1)


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences, and one-sided ones at the ends.

    Parameters
    ----------
    f : array_like
        The values.
    *varargs : number
        The spacing: one for all axes, or one for each. Coordinates as arrays are not supported.
    axis : int, tuple of int or None
        The axes; None for all.
    edge_order : {1, 2}
        The order of the differences at the ends.

    Returns
    -------
    Array or tuple of Array
        One for each axis.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.gradient(da.asarray([0.0, 1.0, 4.0, 9.0])).compute()
    array([1., 2., 4., 5.])
    """
    from pantile.array.chunking import axis_tuple
    from pantile.array.manipulation import concatenate

    x = Array(as_expr(f))
    axes = tuple(range(x.ndim)) if axis is None else axis_tuple(axis, x.ndim)
    steps = [1.0] * len(axes) if not varargs else list(varargs) * (len(axes) if len(varargs) == 1 else 1)
    if len(steps) != len(axes):
        raise TypeError("invalid number of arguments")
    if any(np.ndim(h) for h in steps):
        raise _native.UnsupportedError("gradient takes numbers as spacing, not coordinates")
    if edge_order not in (1, 2):
        raise ValueError("'edge_order' greater than 2 not supported")
    if x.dtype.kind in "biu":
        x = x.astype(float)
    results = []
    for at, h in zip(axes, steps, strict=True):
        n = known_shape(x._expr, "gradient")[at]
        if n < edge_order + 1:
            raise ValueError(
                "Shape of array too small to calculate a numerical gradient, at least (edge_order + 1) elements are required."
            )
        head = (slice(None),) * at

        def part(start: Any, stop: Any, head: Any = head) -> Array:
            return x[(*head, slice(start, stop))]

        middle = (part(2, None) - part(None, -2)) / (2.0 * h)
        if edge_order == 1:
            first, last = (part(1, 2) - part(0, 1)) / h, (part(-1, None) - part(-2, -1)) / h
        else:
            first = (part(0, 1) * (-1.5 / h)) + part(1, 2) * (2.0 / h) + part(2, 3) * (-0.5 / h)
            last = part(-3, -2) * (0.5 / h) + part(-2, -1) * (-2.0 / h) + part(-1, None) * (1.5 / h)
        results.append(concatenate([first, middle, last], at))
    return results[0] if len(results) == 1 else tuple(results)
