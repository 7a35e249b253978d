"""Changing shape, order and chunks; joining, splitting, repeating and padding. Most of these are views."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pantile import _native, config
from pantile._native import Expr
from pantile.array.chunking import KEEP, Chunks, axis_index, axis_tuple, normalize, shape_argument, spread
from pantile.array.core import Array, as_expr, dtype_text, known_shape
from pantile.array.elementwise import call

__all__ = [
    "append",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "array_split",
    "block",
    "broadcast_arrays",
    "broadcast_to",
    "column_stack",
    "concatenate",
    "diff",
    "dsplit",
    "dstack",
    "expand_dims",
    "flip",
    "fliplr",
    "flipud",
    "hsplit",
    "hstack",
    "moveaxis",
    "pad",
    "ravel",
    "rechunk",
    "repeat",
    "reshape",
    "roll",
    "rollaxis",
    "rot90",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "tile",
    "transpose",
    "unify_chunks",
    "vsplit",
    "vstack",
]


def rechunk(x: Any, chunks: Any = "auto", *, block_size_limit: Any = None) -> Array:
    """The array cut in another way.

    Parameters
    ----------
    x : array_like
        The array.
    chunks : chunks
        The new chunks; axes that a dictionary does not mention stay as they are. See `from_array`.
    block_size_limit : int or str, optional
        Bytes of a block where chunks are ``"auto"``.

    Returns
    -------
    Array
        With the same values. In front of a source this costs nothing; computed blocks are copied, over intermediate
        chunks where a task would otherwise hold more than an eighth of the memory limit.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.ones((4, 4), chunks=(4, 1)).rechunk({0: 2, 1: -1}).chunks
    ((2, 2), (4,))
    """
    e = as_expr(x)
    specs = spread(chunks, e.ndim, KEEP)
    present = e.chunks
    wanted: list[Any] = []
    shape: list[int] = []
    for axis, spec in enumerate(specs):
        if None not in present[axis]:
            wanted.append(present[axis] if spec is KEEP else spec)
            shape.append(e.shape[axis] or 0)
        elif spec is KEEP or spec == present[axis]:
            # The length is unknown: the axis takes part in nothing, and stays as it is.
            wanted.append((0,))
            shape.append(0)
        else:
            raise ValueError(
                f"axis {axis} has an unknown length (after a boolean mask), so it cannot be cut in another way: call "
                f"compute_chunk_sizes() first"
            )
    size = (
        config.get("array.chunk_size") if block_size_limit is None else config.parse_bytes(block_size_limit)
    )
    longest = [max(1, *(n or 0 for n in c)) for c in present]
    automatic = any(isinstance(s, (str, tuple)) and (s == "auto" or s[:1] == ("bytes",)) for s in wanted)
    cuts = _native.normalize_chunks(
        wanted,
        shape,
        np.dtype(e.dtype).itemsize,
        size,
        longest if automatic and None not in e.shape else None,
    )
    merged = tuple(present[axis] if None in present[axis] else cuts[axis] for axis in range(e.ndim))
    return Array(e if merged == present else _native.rechunk(e, merged))


def unify_chunks(*arrays: Any) -> tuple[Array, ...]:
    """Arrays broadcast against each other and cut alike.

    Parameters
    ----------
    *arrays : array_like
        The arrays.

    Returns
    -------
    tuple of Array
        All with the same shape and chunks.

    Examples
    --------
    >>> import pantile.array as da
    >>> x, y = da.unify_chunks(da.ones(6, chunks=2), da.ones(6, chunks=3))
    >>> x.chunks
    ((2, 1, 1, 2),)
    """
    return tuple(Array(e) for e in _native.unify([as_expr(a) for a in arrays]))


def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: Any = None) -> Array:
    """The same elements, in C order, in another shape.

    Parameters
    ----------
    a : array_like
        The array.
    shape : int or tuple of int
        The new shape; one entry may be -1.
    order : {'C', 'A', 'F'}
        The order in which elements are read and placed.
    copy : object
        Has no effect.

    Returns
    -------
    Array
        Blocks are rows of both shapes, so that none grows.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.arange(6).reshape(2, -1).compute()
    array([[0, 1, 2],
           [3, 4, 5]])
    """
    try:
        lengths: tuple[int, ...] = (operator.index(shape),)
    except TypeError:
        lengths = tuple(operator.index(n) for n in shape)
    if order not in ("C", "F", "A", "K"):
        raise ValueError(f"order must be one of 'C', 'F', 'A', or 'K' (got {order!r})")
    e = as_expr(a)
    if order == "F":
        reverse = transpose(Array(e))
        return transpose(reshape(reverse, lengths[::-1]))
    return Array(_native.reshape(e, lengths))


def ravel(a: Any, order: str = "C") -> Array:
    """One axis with all elements.

    Parameters
    ----------
    a : array_like
        The array.
    order : {'C', 'A', 'F'}
        The order in which elements are read.

    Returns
    -------
    Array
        With one axis.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.ravel([[1, 2], [3, 4]], order="F").compute()
    array([1, 3, 2, 4])
    """
    e = as_expr(a)
    if e.ndim == 1 and order in ("C", "F", "A", "K"):
        return Array(e)
    return reshape(Array(e), (-1,), order=order)


def transpose(a: Any, axes: Any = None) -> Array:
    """The axes in another order; reversed by default.

    Parameters
    ----------
    a : array_like
        The array.
    axes : sequence of int, optional
        The order.

    Returns
    -------
    Array
        A view: nothing is moved.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.transpose(da.ones((2, 3, 4)), (1, 0, 2)).shape
    (3, 2, 4)
    """
    e = as_expr(a)
    if axes is None:
        order = tuple(reversed(range(e.ndim)))
    else:
        order = tuple(axis_index(k, e.ndim) for k in axes)
        if len(order) != e.ndim:
            raise ValueError("axes don't match array")
        if len(set(order)) != len(order):
            raise ValueError("repeated axis in transpose")
    return Array(_native.transpose(e, order))


def swapaxes(a: Any, axis1: int, axis2: int) -> Array:
    """Two axes exchanged.

    Parameters
    ----------
    a : array_like
        The array.
    axis1, axis2 : int
        The axes.

    Returns
    -------
    Array
        A view.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.swapaxes(da.ones((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    e = as_expr(a)
    i, j = axis_index(axis1, e.ndim), axis_index(axis2, e.ndim)
    order = list(range(e.ndim))
    order[i], order[j] = order[j], order[i]
    return Array(_native.transpose(e, order))


def moveaxis(a: Any, source: Any, destination: Any) -> Array:
    """Axes moved to other places; the others keep their order.

    Parameters
    ----------
    a : array_like
        The array.
    source, destination : int or sequence of int
        The axes, and where they go.

    Returns
    -------
    Array
        A view.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.moveaxis(da.ones((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    e = as_expr(a)
    try:
        sources = axis_tuple(source, e.ndim)
        places = axis_tuple(destination, e.ndim)
    except ValueError as error:
        if isinstance(error, np.exceptions.AxisError):
            raise
        raise ValueError("repeated axis in `source` or `destination` argument") from None
    if len(sources) != len(places):
        raise ValueError("`source` and `destination` arguments must have the same number of elements")
    order = [k for k in range(e.ndim) if k not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return Array(_native.transpose(e, order))


def rollaxis(a: Any, axis: int, start: int = 0) -> Array:
    """An axis moved to before another one.

    Parameters
    ----------
    a : array_like
        The array.
    axis : int
        The axis.
    start : int
        The axis before which it goes.

    Returns
    -------
    Array
        A view.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.rollaxis(da.ones((2, 3, 4)), 2).shape
    (4, 2, 3)
    """
    e = as_expr(a)
    n = e.ndim
    axis = axis_index(axis, n)
    at = start + n if start < 0 else start
    if not 0 <= at <= n:
        raise np.exceptions.AxisError(
            f"'start' arg requires {-n} <= start < {n + 1}, but {start} was passed in"
        )
    if axis < at:
        at -= 1
    order = [k for k in range(n) if k != axis]
    order.insert(at, axis)
    return Array(_native.transpose(e, order))


def squeeze(a: Any, axis: Any = None) -> Array:
    """Without axes of length one.

    Parameters
    ----------
    a : array_like
        The array.
    axis : int, tuple of int or None
        Which; None for all of length one.

    Returns
    -------
    Array
        A view.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.squeeze(da.ones((1, 3, 1))).shape
    (3,)
    """
    e = as_expr(a)
    if axis is None:
        axes = tuple(k for k, n in enumerate(e.shape) if n == 1)
    else:
        axes = tuple(sorted(axis_tuple(axis, e.ndim)))
    return Array(_native.squeeze(e, axes) if axes else e)


def expand_dims(a: Any, axis: Any) -> Array:
    """New axes of length one.

    Parameters
    ----------
    a : array_like
        The array.
    axis : int or tuple of int
        Where they are in the result.

    Returns
    -------
    Array
        A view.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.expand_dims(da.ones(3), (0, 2)).shape
    (1, 3, 1)
    """
    e = as_expr(a)
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    try:
        axes = sorted(axis_tuple(axis, e.ndim + count))
    except ValueError as error:
        if isinstance(error, np.exceptions.AxisError):
            raise
        raise ValueError("repeated axis") from None
    return Array(_native.expand_dims(e, axes) if axes else e)


def flip(m: Any, axis: Any = None) -> Array:
    """The order of elements along axes reversed.

    Parameters
    ----------
    m : array_like
        The array.
    axis : int, tuple of int or None
        The axes; None for all.

    Returns
    -------
    Array
        A view.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.flip(da.arange(3)).compute()
    array([2, 1, 0])
    """
    e = as_expr(m)
    axes = range(e.ndim) if axis is None else axis_tuple(axis, e.ndim)
    key = tuple(slice(None, None, -1) if k in axes else slice(None) for k in range(e.ndim))
    return Array(_native.index(e, key) if key else e)


def fliplr(m: Any) -> Array:
    """The second axis reversed.

    Parameters
    ----------
    m : array_like
        With two axes or more.

    Returns
    -------
    Array
        A view.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.fliplr([[1, 2]]).compute()
    array([[2, 1]])
    """
    e = as_expr(m)
    if e.ndim < 2:
        raise ValueError("Input must be >= 2-d.")
    return flip(Array(e), 1)


def flipud(m: Any) -> Array:
    """The first axis reversed.

    Parameters
    ----------
    m : array_like
        With one axis or more.

    Returns
    -------
    Array
        A view.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.flipud([1, 2]).compute()
    array([2, 1])
    """
    e = as_expr(m)
    if e.ndim < 1:
        raise ValueError("Input must be >= 1-d.")
    return flip(Array(e), 0)


def rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Array:
    """Rotated by quarters in the plane of two axes.

    Parameters
    ----------
    m : array_like
        The array.
    k : int
        How many quarters, from the first axis towards the second.
    axes : two int
        The plane.

    Returns
    -------
    Array
        A view.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.rot90([[1, 2], [3, 4]]).compute()
    array([[2, 4],
           [1, 3]])
    """
    if len(axes) != 2:
        raise ValueError("len(axes) must be 2.")
    x = Array(as_expr(m))
    i, j = axis_index(axes[0], x.ndim), axis_index(axes[1], x.ndim)
    if i == j:
        raise ValueError("Axes must be different.")
    k %= 4
    if k == 0:
        return x
    if k == 2:
        return flip(x, (i, j))
    if k == 1:
        return swapaxes(flip(x, j), i, j)
    return flip(swapaxes(x, i, j), j)


def roll(a: Any, shift: Any, axis: Any = None) -> Array:
    """Elements moved along axes; what leaves at one end comes in at the other.

    Parameters
    ----------
    a : array_like
        The array.
    shift : int or tuple of int
        By how many places.
    axis : int, tuple of int or None
        The axes; None rolls the flattened array.

    Returns
    -------
    Array
        Of the same shape.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.roll(da.arange(5), 2).compute()
    array([3, 4, 0, 1, 2])
    """
    e = as_expr(a)
    if axis is None:
        shape = known_shape(e, "roll")
        return reshape(roll(ravel(Array(e)), shift, 0), shape)
    shifts, axes = np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(axis))
    total: dict[int, int] = {}
    for s, k in zip(shifts.tolist(), axes.tolist(), strict=True):
        at = axis_index(k, e.ndim)
        total[at] = total.get(at, 0) + operator.index(s)
    for at, s in total.items():
        n = known_shape(e, "roll")[at]
        s = s % n if n else 0
        if s:
            head = (slice(None),) * at
            parts = [
                _native.index(e, head + (slice(n - s, None),)),
                _native.index(e, head + (slice(None, n - s),)),
            ]
            e = _native.concatenate(parts, at, None)
    return Array(e)


# ---- joining and splitting ----


def concatenate(
    arrays: Sequence[Any], /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = "same_kind"
) -> Array:
    """Arrays one after the other along an axis.

    Parameters
    ----------
    arrays : sequence of array_like
        Of the same shape but for this axis.
    axis : int or None
        The axis; None flattens first.
    out : Array or numpy.ndarray, optional
        Takes the result.
    dtype : dtype, optional
        The dtype; by default the common one.
    casting : str
        What conversions are allowed.

    Returns
    -------
    Array
        Blocks are passed on without copying.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.concatenate([da.arange(2), [5, 6]]).compute()
    array([0, 1, 5, 6])
    """
    from pantile.array.elementwise import finish

    if isinstance(arrays, Array):
        arrays = list(arrays)
    exprs = [as_expr(a) for a in arrays]
    if not exprs:
        raise ValueError("need at least one array to concatenate")
    if axis is None:
        exprs, axis = [_native.reshape(e, (-1,)) for e in exprs], 0
    if exprs[0].ndim == 0:
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    if dtype is not None:
        for e in exprs:
            if not np.can_cast(e.dtype, dtype, casting):
                raise TypeError(
                    f"Cannot cast array data from {np.dtype(e.dtype)!r} to {np.dtype(dtype)!r} "
                    f"according to the rule {casting!r}"
                )
    at = axis_index(axis, exprs[0].ndim)
    e = _native.concatenate(exprs, at, None if dtype is None else dtype_text(dtype))
    return finish([e], "concatenate", out)


def stack(
    arrays: Sequence[Any], axis: int = 0, out: Any = None, *, dtype: Any = None, casting: Any = "same_kind"
) -> Array:
    """Arrays along a new axis.

    Parameters
    ----------
    arrays : sequence of array_like
        Of the same shape.
    axis : int
        Where the new axis is in the result.
    out : Array or numpy.ndarray, optional
        Takes the result.
    dtype : dtype, optional
        The dtype; by default the common one.
    casting : str
        What conversions are allowed.

    Returns
    -------
    Array
        With one axis more.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.stack([da.zeros(2), da.ones(2)], axis=1).compute()
    array([[0., 1.],
           [0., 1.]])
    """
    exprs = [as_expr(a) for a in arrays]
    if not exprs:
        raise ValueError("need at least one array to stack")
    if len({e.shape for e in exprs}) != 1:
        raise ValueError(
            f"all input arrays must have the same shape, but they have {', '.join(str(e.shape) for e in exprs)}"
        )
    at = axis_index(axis, exprs[0].ndim + 1)
    wide = [Array(_native.expand_dims(e, (at,))) for e in exprs]
    return concatenate(wide, at, out, dtype=dtype, casting=casting)


def atleast_1d(*arrays: Any) -> Any:
    """Arrays with one axis at least.

    Parameters
    ----------
    *arrays : array_like
        The arrays.

    Returns
    -------
    Array or tuple of Array
        One for each.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.atleast_1d(3).shape
    (1,)
    """
    done = []
    for a in arrays:
        e = as_expr(a)
        done.append(Array(_native.expand_dims(e, (0,)) if e.ndim == 0 else e))
    return done[0] if len(done) == 1 else tuple(done)


def atleast_2d(*arrays: Any) -> Any:
    """Arrays with two axes at least; new ones come first.

    Parameters
    ----------
    *arrays : array_like
        The arrays.

    Returns
    -------
    Array or tuple of Array
        One for each.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.atleast_2d([1, 2]).shape
    (1, 2)
    """
    done = []
    for a in arrays:
        e = as_expr(a)
        done.append(Array(_native.expand_dims(e, tuple(range(2 - e.ndim))) if e.ndim < 2 else e))
    return done[0] if len(done) == 1 else tuple(done)


def atleast_3d(*arrays: Any) -> Any:
    """Arrays with three axes at least, placed as NumPy places them.

    Parameters
    ----------
    *arrays : array_like
        The arrays.

    Returns
    -------
    Array or tuple of Array
        One for each.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.atleast_3d([1, 2]).shape
    (1, 2, 1)
    """
    new = {0: (0, 1, 2), 1: (0, 2), 2: (2,)}
    done = []
    for a in arrays:
        e = as_expr(a)
        done.append(Array(_native.expand_dims(e, new[e.ndim]) if e.ndim < 3 else e))
    return done[0] if len(done) == 1 else tuple(done)


def _several(value: Any) -> list[Array]:
    return list(value) if isinstance(value, tuple) else [value]


def vstack(tup: Sequence[Any], *, dtype: Any = None, casting: Any = "same_kind") -> Array:
    """Arrays one below the other.

    Parameters
    ----------
    tup : sequence of array_like
        The arrays; those with one axis are rows.
    dtype : dtype, optional
        The dtype.
    casting : str
        What conversions are allowed.

    Returns
    -------
    Array
        With two axes at least.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.vstack([[1, 2], [3, 4]]).compute()
    array([[1, 2],
           [3, 4]])
    """
    return concatenate(_several(atleast_2d(*tup)), 0, dtype=dtype, casting=casting)


def hstack(tup: Sequence[Any], *, dtype: Any = None, casting: Any = "same_kind") -> Array:
    """Arrays side by side.

    Parameters
    ----------
    tup : sequence of array_like
        The arrays; joined along the second axis, or the first if there is one only.
    dtype : dtype, optional
        The dtype.
    casting : str
        What conversions are allowed.

    Returns
    -------
    Array
        With one axis at least.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.hstack([[1, 2], [3, 4]]).compute()
    array([1, 2, 3, 4])
    """
    arrays = _several(atleast_1d(*tup))
    return concatenate(arrays, 0 if arrays[0].ndim == 1 else 1, dtype=dtype, casting=casting)


def dstack(tup: Sequence[Any]) -> Array:
    """Arrays behind each other, along the third axis.

    Parameters
    ----------
    tup : sequence of array_like
        The arrays.

    Returns
    -------
    Array
        With three axes at least.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.dstack([[1, 2], [3, 4]]).shape
    (1, 2, 2)
    """
    return concatenate(_several(atleast_3d(*tup)), 2)


def column_stack(tup: Sequence[Any]) -> Array:
    """Vectors as the columns of a matrix.

    Parameters
    ----------
    tup : sequence of array_like
        Vectors, or matrices with the same number of rows.

    Returns
    -------
    Array
        With two axes.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.column_stack([[1, 2], [3, 4]]).compute()
    array([[1, 3],
           [2, 4]])
    """
    columns = []
    for a in tup:
        e = as_expr(a)
        columns.append(
            Array(
                _native.expand_dims(e, (1,))
                if e.ndim == 1
                else e
                if e.ndim
                else _native.expand_dims(e, (0, 1))
            )
        )
    return concatenate(columns, 1)


def block(arrays: Any) -> Array:
    """An array from nested lists of blocks.

    Parameters
    ----------
    arrays : array_like or nested lists of them
        The innermost lists are joined along the last axis, and so on outwards.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.block([[da.ones((1, 1)), da.zeros((1, 2))], [da.zeros((1, 3))]]).shape
    (2, 3)
    """

    def depth_of(value: Any) -> int:
        if isinstance(value, tuple):
            raise TypeError("block takes nested lists; only lists can be used to arrange blocks, not tuples")
        if not isinstance(value, list):
            return 0
        if not value:
            raise ValueError("List depths are mismatched or a list is empty")
        depths = {depth_of(v) for v in value}
        if len(depths) != 1:
            raise ValueError(f"List depths are mismatched: a list holds depths {sorted(depths)}")
        return depths.pop() + 1

    def leaves(value: Any) -> Any:
        if isinstance(value, list):
            for v in value:
                yield from leaves(v)
        else:
            yield value

    depth = depth_of(arrays)
    ndim = max([depth, *(as_expr(a).ndim for a in leaves(arrays))])

    def join(value: Any, level: int) -> Array:
        if not isinstance(value, list):
            e = as_expr(value)
            return Array(_native.expand_dims(e, tuple(range(ndim - e.ndim))) if e.ndim < ndim else e)
        return concatenate([join(v, level + 1) for v in value], ndim - depth + level)

    return join(arrays, 0)


def append(arr: Any, values: Any, axis: Any = None) -> Array:
    """Values after the end of an array.

    Parameters
    ----------
    arr, values : array_like
        The array and the values.
    axis : int or None
        The axis; None flattens both.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.append(da.arange(2), 9).compute()
    array([0, 1, 9])
    """
    return concatenate([arr, values], axis)


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """Parts of an array, of nearly equal length.

    Parameters
    ----------
    ary : array_like
        The array.
    indices_or_sections : int or sequence of int
        How many parts, or where to cut.
    axis : int
        The axis.

    Returns
    -------
    list of Array
        Views.

    Examples
    --------
    >>> import pantile.array as da
    >>> [p.shape for p in da.array_split(da.arange(5), 2)]
    [(3,), (2,)]
    """
    e = as_expr(ary)
    at = axis_index(axis, e.ndim)
    n = known_shape(e, "splitting")[at]
    try:
        sections = operator.index(indices_or_sections)
    except TypeError:
        cuts = [0, *(operator.index(i) for i in indices_or_sections), n]
    else:
        if sections <= 0:
            raise ValueError("number sections must be larger than 0.")
        each, extra = divmod(n, sections)
        cuts = np.cumsum([0] + extra * [each + 1] + (sections - extra) * [each]).tolist()
    head = (slice(None),) * at
    return [Array(_native.index(e, head + (slice(a, b),))) for a, b in pairwise(cuts)]


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """Parts of an array, of equal length or cut at given places.

    Parameters
    ----------
    ary : array_like
        The array.
    indices_or_sections : int or sequence of int
        How many parts, or where to cut.
    axis : int
        The axis.

    Returns
    -------
    list of Array
        Views.

    Examples
    --------
    >>> import pantile.array as da
    >>> [p.compute().tolist() for p in da.split(da.arange(4), [1, 3])]
    [[0], [1, 2], [3]]
    """
    e = as_expr(ary)
    at = axis_index(axis, e.ndim)
    n = known_shape(e, "splitting")[at]
    if hasattr(indices_or_sections, "__index__") and n % operator.index(indices_or_sections):
        raise ValueError(
            f"array split does not result in an equal division: axis {axis} has length {n}, and there shall be "
            f"{indices_or_sections} parts"
        )
    return array_split(Array(e), indices_or_sections, at)


def _split_along(ary: Any, indices_or_sections: Any, axis: int, name: str) -> list[Array]:
    e = as_expr(ary)
    if name == "hsplit" and e.ndim == 1:
        axis = 0
    if e.ndim <= axis:
        raise ValueError(
            f"{name} only works on arrays of {axis + 1 if name != 'hsplit' else 1} or more dimensions"
        )
    return split(Array(e), indices_or_sections, axis)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    """Parts along the first axis.

    Parameters
    ----------
    ary : array_like
        With two axes or more.
    indices_or_sections : int or sequence of int
        How many parts, or where to cut.

    Returns
    -------
    list of Array
        Views.

    Examples
    --------
    >>> import pantile.array as da
    >>> len(da.vsplit(da.ones((4, 2)), 2))
    2
    """
    if as_expr(ary).ndim < 2:
        raise ValueError("vsplit only works on arrays of 2 or more dimensions")
    return _split_along(ary, indices_or_sections, 0, "vsplit")


def hsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    """Parts along the second axis, or the only one.

    Parameters
    ----------
    ary : array_like
        With one axis or more.
    indices_or_sections : int or sequence of int
        How many parts, or where to cut.

    Returns
    -------
    list of Array
        Views.

    Examples
    --------
    >>> import pantile.array as da
    >>> len(da.hsplit(da.ones((4, 2)), 2))
    2
    """
    return _split_along(ary, indices_or_sections, 1, "hsplit")


def dsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    """Parts along the third axis.

    Parameters
    ----------
    ary : array_like
        With three axes or more.
    indices_or_sections : int or sequence of int
        How many parts, or where to cut.

    Returns
    -------
    list of Array
        Views.

    Examples
    --------
    >>> import pantile.array as da
    >>> len(da.dsplit(da.ones((1, 1, 4)), 2))
    2
    """
    return _split_along(ary, indices_or_sections, 2, "dsplit")


# ---- repeating ----


def broadcast_to(x: Any, shape: Any, subok: bool = False, *, chunks: Any = None) -> Array:
    """The array repeated along axes of length one, to a shape.

    Parameters
    ----------
    x : array_like
        The array.
    shape : int or tuple of int
        The shape.
    subok : bool
        Has no effect.
    chunks : chunks, optional
        How new and lengthened axes are cut; the others keep their chunks by default.

    Returns
    -------
    Array
        A view.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.broadcast_to([1, 2], (2, 2)).compute()
    array([[1, 2],
           [1, 2]])
    """
    e = as_expr(x)
    lengths = shape_argument(shape)
    if chunks is not None:
        return Array(_native.broadcast_to(e, normalize(chunks, lengths, np.dtype(e.dtype))))
    extra = len(lengths) - e.ndim
    specs: list[Any] = []
    for axis, n in enumerate(lengths):
        own = e.shape[axis - extra] if axis >= extra else None
        specs.append(e.chunks[axis - extra] if own == n and axis >= extra else "auto")
    if extra < 0 or any(e.shape[k] not in (1, lengths[extra + k]) for k in range(e.ndim)):
        raise ValueError(
            f"operands could not be broadcast together with remapped shapes [original->remapped]: {e.shape} "
            f"and requested shape {lengths}"
        )
    return Array(
        _native.broadcast_to(e, normalize(tuple(specs), lengths, np.dtype(e.dtype)) if lengths else ())
    )


def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Array, ...]:
    """Arrays broadcast against each other.

    Parameters
    ----------
    *args : array_like
        The arrays.
    subok : bool
        Has no effect.

    Returns
    -------
    tuple of Array
        All with the same shape.

    Examples
    --------
    >>> import pantile.array as da
    >>> [a.shape for a in da.broadcast_arrays([1, 2], [[1], [2], [3]])]
    [(3, 2), (3, 2)]
    """
    return unify_chunks(*args)


def repeat(a: Any, repeats: Any, axis: Any = None) -> Array:
    """Each element several times.

    Parameters
    ----------
    a : array_like
        The array.
    repeats : int or sequence of int
        How often; one number an element along the axis, or one for all.
    axis : int or None
        The axis; None flattens first.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.repeat([1, 2], 2).compute()
    array([1, 1, 2, 2])
    """
    e = as_expr(a)
    if axis is None:
        e, axis = _native.reshape(e, (-1,)), 0
    at = axis_index(axis, e.ndim)
    n = known_shape(e, "repeat")[at]
    counts = np.asarray(repeats)
    if counts.dtype.kind not in "iu":
        raise TypeError(
            f"Cannot cast array data from {counts.dtype!r} to dtype('int64') according to the rule 'safe'"
        )
    if (counts < 0).any():
        raise ValueError("repeats may not contain negative values.")
    if counts.ndim > 1 or (counts.ndim == 1 and counts.size not in (1, n)):
        raise ValueError(f"operands could not be broadcast together with shape ({n},) {counts.shape}")
    if counts.size != 1:
        return Array(_native.take(e, np.repeat(np.arange(n), counts).tolist(), at))
    count = int(counts.reshape(()))
    # A new axis, broadcast and folded into the old one.
    wide = _native.expand_dims(e, (at + 1,))
    wide = _native.broadcast_to(wide, (*wide.chunks[: at + 1], (count,), *wide.chunks[at + 2 :]))
    shape = known_shape(e, "repeat")
    return Array(_native.reshape(wide, (*shape[:at], n * count, *shape[at + 1 :])))


def tile(A: Any, reps: Any) -> Array:
    """The whole array several times along axes.

    Parameters
    ----------
    A : array_like
        The array.
    reps : int or sequence of int
        How often along each axis, the last ones.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.tile([1, 2], (2, 2)).compute()
    array([[1, 2, 1, 2],
           [1, 2, 1, 2]])
    """
    counts = (operator.index(reps),) if hasattr(reps, "__index__") else tuple(operator.index(r) for r in reps)
    if any(r < 0 for r in counts):
        raise ValueError(f"negative repetitions are not allowed: {counts}")
    e = as_expr(A)
    ndim = max(e.ndim, len(counts))
    counts = (1,) * (ndim - len(counts)) + counts
    if e.ndim < ndim:
        e = _native.expand_dims(e, tuple(range(ndim - e.ndim)))
    for axis, count in enumerate(counts):
        if count == 0:
            e = _native.index(e, (slice(None),) * axis + (slice(0, 0),))
        elif count > 1:
            e = _native.concatenate([e] * count, axis, None)
    return Array(e)


def _widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    if isinstance(pad_width, dict):
        widths = [(0, 0)] * ndim
        for axis, width in pad_width.items():
            before, after = np.broadcast_to(np.asarray(width), (2,)).tolist()
            widths[axis_index(axis, ndim)] = (before, after)
    else:
        array = np.asarray(pad_width)
        if array.dtype.kind not in "iu":
            raise TypeError("`pad_width` must be of integral type.")
        widths = [tuple(w) for w in np.broadcast_to(array, (ndim, 2)).tolist()]
    if any(n < 0 for w in widths for n in w):
        raise ValueError("index can't contain negative values")
    return widths


def pad(array: Any, pad_width: Any, mode: str = "constant", **kwargs: Any) -> Array:
    """The array widened at its borders.

    Parameters
    ----------
    array : array_like
        The array.
    pad_width : int, pair, sequence of pairs or dict
        How many elements before and after, along each axis.
    mode : {'constant', 'edge', 'reflect', 'symmetric', 'wrap', 'empty'}
        What the new elements are.
    **kwargs
        ``constant_values`` for ``'constant'``, ``reflect_type='even'`` for ``'reflect'`` and ``'symmetric'``.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.pad(da.arange(3), 2, mode="reflect").compute()
    array([2, 1, 0, 1, 2, 1, 0])
    """
    e = as_expr(array)
    widths = _widths(pad_width, e.ndim)
    modes = ("constant", "edge", "reflect", "symmetric", "wrap", "empty")
    if callable(mode) or mode not in modes:
        raise _native.UnsupportedError(f"mode {mode!r} is not supported by pad; there are {', '.join(modes)}")
    allowed = {"constant": {"constant_values"}, "reflect": {"reflect_type"}, "symmetric": {"reflect_type"}}
    wrong = set(kwargs) - allowed.get(mode, set())
    if wrong:
        raise ValueError(f"unsupported keyword arguments for mode '{mode}': {wrong}")
    if kwargs.get("reflect_type", "even") != "even":
        raise _native.UnsupportedError("pad knows reflect_type='even' only")
    known_shape(e, "pad")
    if mode in ("constant", "empty"):
        values = (
            np.broadcast_to(np.asarray(kwargs.get("constant_values", 0)), (e.ndim, 2)) if e.ndim else None
        )
        for axis, (before, after) in enumerate(widths):
            parts = [e]
            if before:
                parts.insert(0, _border(e, axis, before, values[axis, 0]))  # type: ignore[index]
            if after:
                parts.append(_border(e, axis, after, values[axis, 1]))  # type: ignore[index]
            if len(parts) > 1:
                e = _native.concatenate(parts, axis, None)
        return Array(e)
    for axis, (before, after) in enumerate(widths):
        n = e.shape[axis] or 0
        if not before and not after:
            continue
        if n == 0:
            raise ValueError(f"can't extend empty axis {axis} using modes other than 'constant' or 'empty'")
        e = _extended(e, axis, before, after, mode, n)
    return Array(e)


def _border(e: Expr, axis: int, width: int, value: Any) -> Expr:
    chunks: Chunks = (*e.chunks[:axis], (width,), *e.chunks[axis + 1 :])
    number = np.asarray(value).astype(np.dtype(e.dtype))[()]
    return _native.fill(number, e.dtype, chunks)


def _extended(e: Expr, axis: int, before: int, after: int, mode: str, n: int) -> Expr:
    """Pieces of the axis, forwards and backwards, as the mode continues it beyond both ends."""
    head = (slice(None),) * axis
    positions = np.arange(-before, n + after)
    if mode == "edge":
        positions = positions.clip(0, n - 1)
    elif mode == "wrap":
        positions %= n
    elif mode == "symmetric":
        positions %= 2 * n
        positions = np.where(positions < n, positions, 2 * n - 1 - positions)
    elif n == 1:
        positions[:] = 0
    else:
        positions %= 2 * n - 2
        positions = np.where(positions < n, positions, 2 * n - 2 - positions)
    parts = []
    # The middle is the array itself; each border is a few runs of neighbours, and runs are views.
    for border in (positions[:before], None, positions[before + n :]):
        if border is None:
            parts.append(e)
        elif border.size:
            for a, b in _runs(border):
                first, step = int(border[a]), int(border[a + 1] - border[a]) if b - a > 1 else 1
                if step == 0:
                    one = _native.index(e, (*head, slice(first, first + 1)))
                    chunks: Chunks = (*one.chunks[:axis], (b - a,), *one.chunks[axis + 1 :])
                    parts.append(_native.broadcast_to(one, chunks))
                else:
                    stop = first + step * (b - a)
                    parts.append(_native.index(e, (*head, slice(first, None if stop < 0 else stop, step))))
    return _native.concatenate(parts, axis, None)


def _runs(border: np.ndarray[Any, Any]) -> list[tuple[int, int]]:
    """Maximal stretches with one step, which do not overlap."""
    runs: list[tuple[int, int]] = []
    start = 0
    while start < border.size:
        stop = start + 1
        while stop < border.size and (
            stop == start + 1 or border[stop] - border[stop - 1] == border[start + 1] - border[start]
        ):
            stop += 1
        # A jump of more than one is two runs, not one with that step.
        if stop - start > 1 and abs(int(border[start + 1] - border[start])) > 1:
            stop = start + 1
        runs.append((start, stop))
        start = stop
    return runs


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Array:
    """Differences of neighbours along an axis.

    Parameters
    ----------
    a : array_like
        The array.
    n : int
        How many times.
    axis : int
        The axis.
    prepend, append : array_like, optional
        What comes before and after.

    Returns
    -------
    Array
        Shorter by `n` along the axis.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.diff(da.asarray([1, 4, 9])).compute()
    array([3, 5])
    """
    n = operator.index(n)
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    e = as_expr(a)
    if e.ndim == 0:
        raise ValueError("diff requires input that is at least one dimensional")
    at = axis_index(axis, e.ndim)
    if n == 0:
        return Array(e)
    parts = [e]
    for extra, first in ((prepend, True), (append, False)):
        if extra is None:
            continue
        b = as_expr(extra)
        if b.ndim == 0:
            b = _native.broadcast_to(b, (*e.chunks[:at], (1,), *e.chunks[at + 1 :]))
        parts.insert(0, b) if first else parts.append(b)
    if len(parts) > 1:
        e = _native.concatenate(parts, at, None)
    head = (slice(None),) * at
    operation = "not_equal" if e.dtype == "|b1" else "subtract"
    for _ in range(n):
        e = call(
            operation, _native.index(e, (*head, slice(1, None))), _native.index(e, (*head, slice(None, -1)))
        )
    return Array(e)
