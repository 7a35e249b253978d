"""Subscripts: reading parts of an array, and assigning to them.

The engine knows basic indices, an index array along one axis, and lazy masks. Index arrays with several axes are flattened
here and the axis is given its shape afterwards.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from pantile import _native
from pantile._native import Expr
from pantile.array.chunking import axis_index
from pantile.array.core import Array, as_expr, known_shape, operand
from pantile.array.elementwise import call

__all__ = ["argwhere", "compress", "diagonal", "extract", "flatnonzero", "nonzero", "take"]


def _entry(value: Any) -> Any:
    if isinstance(value, Array):
        return value._expr
    if isinstance(value, (list, np.ndarray)):
        array = np.asarray(value)
        if array.size == 0 and array.dtype.kind == "f" and isinstance(value, list):
            array = array.astype(np.intp)
        return array
    return value


def _key(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(_entry(k) for k in key)
    return _entry(key)


def getitem(x: Array, key: Any) -> Array:
    """``x[key]``."""
    e = x._expr
    entries = _key(key)
    listed = entries if isinstance(entries, tuple) else (entries,)
    if any(isinstance(k, (bool, np.bool_)) for k in listed):
        return _with_truth(x, listed)
    wide = [
        n for n, k in enumerate(listed) if isinstance(k, np.ndarray) and k.dtype.kind in "iu" and k.ndim > 1
    ]
    arrays = [k for k in listed if isinstance(k, (np.ndarray, Expr)) and k.ndim > 0]
    if len(wide) == 1 and len(arrays) == 1:
        return _wide_take(x, listed, wide[0])
    part = _native.index(e, entries)
    if part.ndim > 64:
        raise IndexError(
            f"number of dimensions must be within [0, 64], indexing result would have {part.ndim}"
        )
    return Array(part)


def _with_truth(x: Array, listed: tuple[Any, ...]) -> Array:
    """``x[True]`` is a new axis of length one, ``x[False]`` one of length zero."""
    truths = [bool(k) for k in listed if isinstance(k, (bool, np.bool_))]
    rest = tuple(k for k in listed if not isinstance(k, (bool, np.bool_)))
    if len(truths) > 1 or any(isinstance(k, (np.ndarray, Expr)) for k in rest):
        raise _native.UnsupportedError(
            "a boolean beside other index arrays is not supported; index in two steps"
        )
    part = _native.index(x._expr, rest) if rest else x._expr
    part = _native.expand_dims(part, (0,))
    return Array(part if truths[0] else _native.index(part, (slice(0, 0),)))


def _wide_take(x: Array, listed: tuple[Any, ...], at: int) -> Array:
    array = listed[at]
    flat = _native.index(x._expr, (*listed[:at], array.reshape(-1), *listed[at + 1 :]))
    # Where the axis is in the result.
    ellipsis = [n for n, k in enumerate(listed) if k is Ellipsis]
    if ellipsis and ellipsis[0] < at:
        behind = [k for k in listed[at + 1 :] if _integer(k) is None]
        axis = flat.ndim - 1 - len(behind)
    else:
        axis = sum(1 for k in listed[:at] if k is None or isinstance(k, slice))
    shape = known_shape(flat, "an index array with several axes")
    return Array(_native.reshape(flat, (*shape[:axis], *array.shape, *shape[axis + 1 :])))


def _integer(value: Any) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None


def setitem(x: Array, key: Any, value: Any) -> None:
    """``x[key] = value``: the array gets a new expression. Others that were made from it before keep theirs."""
    v = operand(value)
    if v is NotImplemented:
        v = as_expr(value)
    if isinstance(v, (np.ndarray, Expr)) and np.dtype(v.dtype).kind == "c" and x.dtype.kind not in "c":
        raise TypeError(f"complex values cannot be assigned to an array of dtype {x.dtype}")
    if isinstance(v, complex) and x.dtype.kind != "c":
        raise TypeError(f"a complex number cannot be assigned to an array of dtype {x.dtype}")
    entries = _key(key)
    if isinstance(entries, tuple) and len(entries) == 1 and isinstance(entries[0], (Expr, np.ndarray)):
        entries = entries[0]
    several = isinstance(v, (np.ndarray, Expr)) and len(v.shape) > 0 and v.shape != (1,) * len(v.shape)
    if isinstance(entries, np.ndarray) and entries.dtype.kind == "b" and not (several and entries.ndim == 1):
        # One value goes to all true elements: where() over the whole array, which fuses.
        entries = as_expr(entries)
    if several and isinstance(entries, Expr) and len(entries.shape) == x.ndim and entries.dtype == "|b1":
        x._expr = _spread(x, entries, as_expr(value))
        return None
    listed = entries if isinstance(entries, tuple) else (entries,)
    if any(isinstance(k, np.ndarray) and k.dtype.kind in "iu" and k.ndim > 1 for k in listed):
        if several:
            raise _native.UnsupportedError(
                "assigning an array through an index array with several axes is not supported: ravel the index array, and "
                "reshape the value accordingly"
            )
        flat = tuple(
            k.reshape(-1) if isinstance(k, np.ndarray) and k.dtype.kind in "iu" else k for k in listed
        )
        entries = flat if isinstance(entries, tuple) else flat[0]
    x._expr = _native.assign(x._expr, entries, v)
    return None


def _spread(x: Array, mask: Expr, value: Expr) -> Expr:
    """The array with the value's elements, in order, at the places in C order where the mask is true."""
    if len(value.shape) != 1:
        raise TypeError(
            f"NumPy boolean array indexing assignment requires a 0 or 1-dimensional input, input has {len(value.shape)} "
            "dimensions"
        )
    shape = known_shape(x._expr, "assignment through a mask")
    if mask.shape != shape:
        raise IndexError(f"boolean index did not match indexed array; shapes are {shape} and {mask.shape}")
    if 0 in shape:
        return x._expr
    flat = Array(_native.reshape(mask, (-1,)))
    # Which of the value's elements comes to a place where the mask is true.
    ranks = flat.cumsum(dtype=np.int64) - 1
    count = flat.sum(keepdims=True)
    value = _native.astype(value, x.dtype.str)
    chosen = _native.blockwise(
        _ranked,
        "assign-mask",
        [(ranks._expr, [("block", 0)]), (count._expr, [("whole",)]), (value, [("whole",)])],
        ranks.chunks,
        ranks.chunks,
        x.dtype.str,
    )
    chosen = _native.rechunk(_native.reshape(chosen, shape), x.chunks)
    return call("where", mask, chosen, x._expr)


def _ranked(block_id: Any, ranks: Any, count: Any, value: Any) -> Any:
    if len(value) != count[0]:
        raise ValueError(
            f"NumPy boolean array indexing assignment cannot assign {len(value)} input values to the {count[0]} output "
            "values where the mask is true"
        )
    # Places in front of the first true element take something that where() passes over.
    return value[np.maximum(ranks, 0)] if len(value) else np.zeros(ranks.shape, value.dtype)


def nonzero(a: Any) -> tuple[Array, ...]:
    """The positions of the elements that are not zero, an array for each axis.

    Parameters
    ----------
    a : array_like
        With one axis or more.

    Returns
    -------
    tuple of Array
        In C order; their length is unknown before they are computed.

    Examples
    --------
    >>> import pantile.array as da
    >>> rows, columns = da.nonzero(da.asarray([[0, 3], [4, 0]]))
    >>> rows.compute(), columns.compute()
    (array([0, 1]), array([1, 0]))
    """
    e = as_expr(a)
    if e.ndim == 0:
        raise ValueError(
            "Calling nonzero on 0d arrays is not allowed. Use np.atleast_1d(scalar).nonzero() instead. If the context of "
            "this error is of the form `arr[nonzero(cond)]`, just use `arr[cond]`."
        )
    known_shape(e, "nonzero")
    mask = e if e.dtype == "|b1" else call("not_equal", e, 0)
    positions = []
    for axis, cuts in enumerate(e.chunks):
        along = _native.coord([n or 0 for n in cuts])
        behind = tuple(range(1, e.ndim - axis))
        along = _native.expand_dims(along, behind) if behind else along
        positions.append(Array(_native.index(_native.broadcast_to(along, e.chunks), mask)))
    return tuple(positions)


def flatnonzero(a: Any) -> Array:
    """The positions in the flattened array of the elements that are not zero.

    Parameters
    ----------
    a : array_like
        The array.

    Returns
    -------
    Array
        With one axis of unknown length.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.flatnonzero(da.asarray([[0, 3], [4, 0]])).compute()
    array([1, 2])
    """
    return nonzero(Array(_native.reshape(as_expr(a), (-1,))))[0]


def argwhere(a: Any) -> Array:
    """The positions of the elements that are not zero, a row for each.

    Parameters
    ----------
    a : array_like
        The array.

    Returns
    -------
    Array
        Of shape (count, axes); the count is unknown before it is computed.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.argwhere(da.asarray([[0, 3], [4, 0]])).compute()
    array([[0, 1],
           [1, 0]])
    """
    from pantile.array.manipulation import stack

    e = as_expr(a)
    if e.ndim == 0:
        e = _native.expand_dims(e, (0,))
        return argwhere(Array(e))[:, :0]
    return stack(nonzero(Array(e)), axis=1)


def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Array:
    """Elements at positions along an axis.

    Parameters
    ----------
    a : array_like
        The array.
    indices : array_like of int
        The positions: numbers, not a lazy array.
    axis : int or None
        The axis; None flattens first.
    out : Array or numpy.ndarray, optional
        Takes the result.
    mode : {'raise', 'wrap', 'clip'}
        What happens to positions out of range.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.take(da.arange(5) * 10, [0, -1, 2]).compute()
    array([ 0, 40, 20])
    """
    from pantile.array.elementwise import finish

    if isinstance(indices, Array):
        raise _native.UnsupportedError("take needs the positions as numbers: compute them first")
    e = as_expr(a)
    if axis is None:
        e, axis = _native.reshape(e, (-1,)), 0
    at = axis_index(axis, e.ndim)
    positions = np.asarray(indices)
    if positions.size == 0 and positions.dtype.kind == "f":
        positions = positions.astype(np.intp)
    if positions.dtype.kind not in "iub":
        raise TypeError(
            f"Cannot cast array data from {positions.dtype!r} to dtype('int64') according to the rule 'safe'"
        )
    positions = positions.astype(np.int64)
    n = known_shape(e, "take")[at]
    if mode == "wrap":
        positions = positions % n
    elif mode == "clip":
        positions = positions.clip(0, n - 1)
    elif mode != "raise":
        raise ValueError(f"clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r})")
    flat = _native.take(e, positions.reshape(-1).tolist(), at)
    if positions.ndim != 1:
        shape = known_shape(flat, "take")
        flat = _native.reshape(flat, (*shape[:at], *positions.shape, *shape[at + 1 :]))
    return finish([flat], "take", out)


def compress(condition: Any, a: Any, axis: Any = None) -> Array:
    """Elements along an axis where a condition holds.

    Parameters
    ----------
    condition : array_like of bool
        With one axis; may be lazy.
    a : array_like
        The array.
    axis : int or None
        The axis; None flattens first.

    Returns
    -------
    Array
        Of unknown length along the axis if the condition is lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.compress([True, False, True], da.arange(3)).compute()
    array([0, 2])
    """
    e = as_expr(a)
    if axis is None:
        e, axis = _native.reshape(e, (-1,)), 0
    at = axis_index(axis, e.ndim)
    if isinstance(condition, Array):
        if condition.ndim != 1:
            raise ValueError("Condition must be one dimensional")
        mask: Any = (
            condition._expr if condition._expr.dtype == "|b1" else call("not_equal", condition._expr, 0)
        )
        n = condition.shape[0]
        if n is not None and n < (e.shape[at] or 0):
            e = _native.index(e, (*(slice(None),) * at, slice(0, n)))
        return Array(_native.index(e, (*(slice(None),) * at, mask)))
    flags = np.asarray(condition, bool)
    if flags.ndim != 1:
        raise ValueError("condition must be a 1-d array")
    return take(Array(e), np.flatnonzero(flags), at)


def extract(condition: Any, arr: Any) -> Array:
    """Elements where a condition of the same shape holds, in C order.

    Parameters
    ----------
    condition : array_like of bool
        The condition.
    arr : array_like
        The array.

    Returns
    -------
    Array
        With one axis of unknown length.

    Examples
    --------
    >>> import pantile.array as da
    >>> x = da.arange(4)
    >>> da.extract(x % 2 == 1, x).compute()
    array([1, 3])
    """
    from pantile.array.manipulation import ravel

    x, mask = ravel(arr), ravel(condition)
    return x[mask if mask.dtype == bool else mask != 0]


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """A diagonal of a matrix, or of each matrix of a stack.

    Parameters
    ----------
    a : array_like
        With two axes or more.
    offset : int
        Which diagonal: 0 the main one, above it for positive numbers.
    axis1, axis2 : int
        The axes of the rows and the columns.

    Returns
    -------
    Array
        Without the two axes, and with the diagonal as the last one.

    Raises
    ------
    ValueError
        The array has fewer than two axes, or `axis1` and `axis2` are the same.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.diagonal(da.arange(4).reshape(2, 2)).compute()
    array([0, 3])
    """
    from pantile.array.blocks import blockwise_native

    e = as_expr(a)
    if e.ndim < 2:
        raise ValueError("diag requires an array of at least two dimensions")
    i, j = axis_index(axis1, e.ndim), axis_index(axis2, e.ndim)
    if i == j:
        raise ValueError("axis1 and axis2 cannot be the same")
    stack = [k for k in range(e.ndim) if k not in (i, j)]
    e = _native.transpose(e, (*stack, i, j))
    rows, columns = known_shape(e, "diagonal")[-2:]
    offset = operator.index(offset)
    first_row, first_column = max(0, -offset), max(0, offset)
    n = max(0, min(rows - first_row, columns - first_column))
    square = _native.index(e, (..., slice(first_row, first_row + n), slice(first_column, first_column + n)))
    # Equal cuts along both axes: the diagonal's blocks are those of the blocks on the diagonal.
    along = tuple(square.chunks[-2])
    cuts = (*square.chunks[:-2], along)
    square = _native.rechunk(square, (*cuts, along)) if square.chunks[-1] != along else square
    last = len(stack)
    return blockwise_native(
        lambda block_id, block: np.diagonal(block, axis1=-2, axis2=-1),
        "diagonal",
        [(square, [("block", k) for k in (*range(last), last, last)])],
        cuts,
        e.dtype,
    )
