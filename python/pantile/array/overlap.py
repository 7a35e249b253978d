"""Python functions on blocks that are widened by their neighbours."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pantile._native import Expr
from pantile.array.blocks import blockwise_native, function_name, infer
from pantile.array.chunking import Chunks, axis_index, refined
from pantile.array.core import Array, as_expr
from pantile.array.manipulation import pad

__all__ = ["map_overlap"]

_BOUNDARIES = {"reflect": "symmetric", "periodic": "wrap", "nearest": "edge"}


def _depths(depth: Any, ndim: int) -> list[tuple[int, int]]:
    """How far blocks are widened before and after, along each axis."""
    if isinstance(depth, dict):
        given = {axis_index(axis, ndim): d for axis, d in depth.items()}
        entries = [given.get(k, 0) for k in range(ndim)]
    elif isinstance(depth, (tuple, list)):
        if len(depth) != ndim:
            raise ValueError(f"depth has {len(depth)} entries, but the array has {ndim} dimensions")
        entries = list(depth)
    else:
        entries = [depth] * ndim
    pairs = []
    for axis, d in enumerate(entries):
        before, after = d if isinstance(d, (tuple, list)) else (d, d)
        pair = (operator.index(before), operator.index(after))
        if min(pair) < 0:
            raise ValueError(f"depth along axis {axis} is negative: {pair}")
        pairs.append(pair)
    return pairs


def _boundaries(boundary: Any, ndim: int) -> list[Any]:
    if isinstance(boundary, dict):
        given = {axis_index(axis, ndim): b for axis, b in boundary.items()}
        kinds = [given.get(k) for k in range(ndim)]
    elif isinstance(boundary, (tuple, list)):
        if len(boundary) != ndim:
            raise ValueError(f"boundary has {len(boundary)} entries, but the array has {ndim} dimensions")
        kinds = list(boundary)
    else:
        kinds = [boundary] * ndim
    for b in kinds:
        if isinstance(b, str) and b not in (*_BOUNDARIES, "none"):
            raise ValueError(
                f"boundary {b!r} is not known; there are 'none', {', '.join(map(repr, _BOUNDARIES))}, and numbers"
            )
    return [None if isinstance(b, str) and b == "none" else b for b in kinds]


def _padded(e: Expr, depths: Sequence[tuple[int, int]], kinds: Sequence[Any]) -> Expr:
    x = Array(e)
    for axis, (d, kind) in enumerate(zip(depths, kinds, strict=True)):
        if kind is None or d == (0, 0):
            continue
        if isinstance(kind, str):
            x = pad(x, {axis: d}, mode=_BOUNDARIES[kind])
        else:
            x = pad(x, {axis: d}, mode="constant", constant_values=kind)
    return x._expr


def _common_chunks(exprs: Sequence[Expr]) -> Chunks:
    ndim = max(e.ndim for e in exprs)
    chunks: list[tuple[int | None, ...]] = [(1,)] * ndim
    for axis in range(ndim):
        found = {e.chunks[axis - ndim + e.ndim] for e in exprs if axis - ndim + e.ndim >= 0} - {(1,)}
        if found:
            if len({sum(n or 0 for n in c) for c in found}) != 1:
                raise ValueError(
                    f"arrays of shapes {', '.join(str(e.shape) for e in exprs)} do not broadcast in map_overlap"
                )
            only = next(iter(found))
            chunks[axis] = only if len(found) == 1 else refined(found)
    return tuple(chunks)


def map_overlap(
    func: Callable[..., Any],
    *args: Any,
    depth: Any = None,
    boundary: Any = None,
    trim: bool = True,
    align_arrays: bool = True,
    allow_rechunk: bool = True,
    dtype: Any = None,
    name: str | None = None,
    meta: Any = None,
    **kwargs: Any,
) -> Array:
    """Applies a Python function to blocks widened by their neighbours.

    Parameters
    ----------
    func : callable
        Called with NumPy arrays; returns one of the same shape.
    *args : Array
        The arrays, which broadcast; other objects are passed as they are.
    depth : int, tuple, dict or list of these
        How many elements of the neighbours a block gets along each axis; a pair gives both sides.
        A list has an entry for each array.
    boundary : str, number, tuple, dict or list of these
        What lies beyond the borders of the array: ``'reflect'``, ``'periodic'``, ``'nearest'``, a number, or ``'none'`` (None):
        nothing, and blocks at the border are smaller.
    trim : bool
        Whether the added elements are removed from what the function returns.
    align_arrays, allow_rechunk : bool
        Have no effect: arrays are cut alike, and a depth may exceed a chunk.
    dtype : dtype, optional
        Of the result; if not given, the function is tried on tiny arrays.
    name : str, optional
        What to call it in graphs.
    meta : array, optional
        Gives the dtype, as in Dask.
    **kwargs
        Passed to the function.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import numpy as np
    >>> import pantile.array as da
    >>> x = da.arange(6, chunks=3) ** 2
    >>> x.map_overlap(np.gradient, depth=1, boundary="none", dtype=float).compute()
    array([1., 2., 4., 6., 8., 9.])
    """
    if isinstance(func, Array) and args and callable(args[0]):
        func, args = args[0], (func, *args[1:])
    if not callable(func):
        raise TypeError(f"First argument must be callable function, not {type(func).__name__}")
    positions = [k for k, a in enumerate(args) if isinstance(a, (Array, np.ndarray))]
    if not positions:
        raise TypeError("map_overlap needs an array")
    exprs = [as_expr(args[k]) for k in positions]
    if any(None in e.shape for e in exprs):
        raise ValueError("map_overlap needs known shapes: call compute_chunk_sizes() first")
    ndim = max(e.ndim for e in exprs)
    depth_list = depth if isinstance(depth, list) and len(depth) == len(exprs) else [depth] * len(exprs)
    boundary_list = (
        boundary if isinstance(boundary, list) and len(boundary) == len(exprs) else [boundary] * len(exprs)
    )
    depths = [_depths(0 if d is None else d, e.ndim) for d, e in zip(depth_list, exprs, strict=True)]
    kinds = [_boundaries(b, e.ndim) for b, e in zip(boundary_list, exprs, strict=True)]

    reference = _common_chunks(exprs)
    starts = [np.concatenate([[0], np.cumsum([n or 0 for n in c])]).tolist() for c in reference]
    inputs = []
    for e, ds, bs in zip(exprs, depths, kinds, strict=True):
        along: list[tuple[Any, ...]] = []
        for k, ((before, after), b) in enumerate(zip(ds, bs, strict=True)):
            axis = k + ndim - e.ndim
            if e.shape[k] == 1 and starts[axis][-1] != 1:
                along.append(("whole",))
            elif b is None:
                along.append(("window", axis, before, after))
            else:
                # The padded array begins `before` earlier, so the block with its halo starts where the block did.
                along.append(("window", axis, 0, before + after))
        inputs.append((_padded(e, ds, bs), along))

    # What is trimmed, and how long blocks are otherwise, follows the array with the most axes, the first of them.
    main = next(k for k, e in enumerate(exprs) if e.ndim == ndim)

    def halo(axis: int, i: int) -> tuple[int, int]:
        before, after = depths[main][axis]
        if kinds[main][axis] is None:
            total = starts[axis][-1]
            return min(before, starts[axis][i]), min(after, total - starts[axis][i + 1])
        return before, after

    if trim:
        chunks: Chunks = reference
    else:
        chunks = tuple(
            tuple((n or 0) + sum(halo(axis, i)) for i, n in enumerate(cuts))
            for axis, cuts in enumerate(reference)
        )
    if meta is not None and dtype is None:
        dtype = np.dtype(getattr(meta, "dtype", meta))
    if dtype is None:
        longest = 1 + 2 * max([max(d) for ds in depths for d in ds], default=0)
        tiny: list[Any] = list(args)
        for k, e in zip(positions, exprs, strict=True):
            tiny[k] = np.empty((min(longest, 8),) * e.ndim, np.dtype(e.dtype))
        dtype = infer(func, tiny, kwargs, "map_overlap").dtype

    def on_blocks(block_id: tuple[int, ...], *given: Any) -> Any:
        values = list(args)
        for k, block in zip(positions, given, strict=True):
            values[k] = block
        result = func(*values, **kwargs)
        if not trim:
            return result
        key = []
        for axis, i in enumerate(block_id):
            before, _ = halo(axis, i)
            key.append(slice(before, before + (reference[axis][i] or 0)))
        return np.asarray(result)[tuple(key)]

    return blockwise_native(on_blocks, name or function_name(func), inputs, chunks, dtype, reference)
