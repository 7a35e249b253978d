"""Python functions on blocks: `map_blocks`, `blockwise`, and what is built on them.

The function gets NumPy arrays that look into the engine's blocks (read-only), runs under the GIL, and returns NumPy arrays.
`pantile.explain` marks such layers as Python.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pantile import _native
from pantile._native import Expr
from pantile.array.chunking import Chunks, axis_index, refined
from pantile.array.core import Array, as_expr, dtype_text
from pantile.array.creation import is_native

__all__ = ["apply_along_axis", "blockwise", "map_blocks"]


def blockwise_native(
    function: Callable[..., Any],
    name: str,
    inputs: Sequence[tuple[Expr, Sequence[tuple[Any, ...]]]],
    chunks: Chunks,
    dtype: Any,
    reference: Chunks | None = None,
) -> Array:
    """An array of what a function of (block_id, *blocks) returns."""
    text = dtype_text(dtype)
    if not is_native(np.dtype(dtype)):
        text = np.dtype(dtype).str
    return Array(
        _native.blockwise(function, name, inputs, chunks, chunks if reference is None else reference, text)
    )


def function_name(func: Callable[..., Any]) -> str:
    """What to call a function in graphs."""
    if isinstance(func, functools.partial):
        return function_name(func.func)
    return getattr(func, "__name__", None) or type(func).__name__


def _accepts(func: Callable[..., Any], keyword: str) -> bool:
    import inspect

    try:
        return keyword in inspect.signature(func).parameters
    except (TypeError, ValueError):
        return False


def infer(
    func: Callable[..., Any], arrays: Sequence[Any], kwargs: Mapping[str, Any], what: str
) -> np.ndarray[Any, Any]:
    """What the function returns for tiny arrays: ones first, then empty ones."""
    problem: Exception | None = None
    for lengths in (lambda shape: shape, lambda shape: (0,) * len(shape)):
        tiny = [
            np.ones(lengths(a.shape), a.dtype)
            if isinstance(a, np.ndarray) and a.dtype.kind not in "OSUmM"
            else np.empty(lengths(a.shape), a.dtype)
            if isinstance(a, np.ndarray)
            else a
            for a in arrays
        ]
        try:
            with np.errstate(all="ignore"):
                return np.asarray(func(*tiny, **kwargs))
        except Exception as error:
            problem = problem or error
    raise ValueError(
        f"`dtype` inference failed in `{what}`: {function_name(func)} was tried on tiny arrays and raised "
        f"{type(problem).__name__}: {problem}. Please give dtype="
    ) from problem


def _tiny(e: Expr, length: int = 1) -> np.ndarray[Any, Any]:
    return np.empty((length,) * e.ndim, np.dtype(e.dtype))


def _cut_like(lengths: Any, count: int, axis: int) -> tuple[int, ...]:
    """The chunks of one output axis: one length for every block, or one each."""
    if hasattr(lengths, "__index__"):
        return (operator.index(lengths),) * count
    cuts = tuple(operator.index(n) for n in lengths)
    if len(cuts) != count:
        raise ValueError(
            f"Dimension {axis} has {count} blocks, chunks specified with {len(cuts)} blocks: "
            f"give a length, or one for each block"
        )
    return cuts


def map_blocks(
    func: Callable[..., Any],
    *args: Any,
    name: str | None = None,
    dtype: Any = None,
    chunks: Any = None,
    drop_axis: Any = None,
    new_axis: Any = None,
    meta: Any = None,
    **kwargs: Any,
) -> Array:
    """Applies a Python function to corresponding blocks of arrays.

    Parameters
    ----------
    func : callable
        Called with NumPy arrays. If it has a parameter ``block_id`` or ``block_info``, it gets the block's position, or what
        `dask.array.map_blocks` gives: for each argument and for the output (key None) shape, num-chunks, array-location,
        chunk-location.
    *args : Array or any object
        Lazy and NumPy arrays are cut; other objects are passed as they are.
    name : str, optional
        What to call it in graphs.
    dtype : dtype, optional
        Of the result; if not given, the function is tried on tiny arrays.
    chunks : tuple, optional
        The shape of each block of the result, or the chunks, if the function changes them.
    drop_axis : int or sequence of int, optional
        Axes that the function removes. The function gets blocks that are whole along them.
    new_axis : int or sequence of int, optional
        Axes of the result that the function adds.
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
    >>> import pantile.array as da
    >>> x = da.arange(6, chunks=3)
    >>> x.map_blocks(lambda b: b[::-1]).compute()
    array([2, 1, 0, 5, 4, 3])
    """
    if not callable(func):
        raise TypeError(f"First argument must be callable function, not {type(func).__name__}")
    name = name or function_name(func)
    arrays = {k: as_expr(a) for k, a in enumerate(args) if isinstance(a, (Array, np.ndarray)) and np.ndim(a)}
    arrays |= {k: a._expr for k, a in enumerate(args) if isinstance(a, Array)}
    if not arrays:
        return _from_nothing(func, args, name, dtype, chunks, kwargs)
    arrays = _aligned(arrays, name)
    ndim = max(e.ndim for e in arrays.values())
    drops = [] if drop_axis is None else [drop_axis] if hasattr(drop_axis, "__index__") else list(drop_axis)
    drops = [axis_index(a, ndim) for a in drops]
    adds = [] if new_axis is None else [new_axis] if hasattr(new_axis, "__index__") else list(new_axis)
    kept = [k for k in range(ndim) if k not in drops]
    adds = sorted(axis_index(a, len(kept) + len(adds)) for a in adds)

    if meta is not None and dtype is None:
        dtype = np.dtype(getattr(meta, "dtype", meta))
    wants_id, wants_info = _accepts(func, "block_id"), _accepts(func, "block_info")
    if dtype is None:
        extra: dict[str, Any] = {}
        if wants_id:
            extra["block_id"] = (0,) * (len(kept) + len(adds))
        if wants_info:
            extra["block_info"] = {
                None: {
                    "shape": (1,) * ndim,
                    "num-chunks": (1,) * ndim,
                    "chunk-location": (0,) * ndim,
                    "array-location": [(0, 1)] * ndim,
                    "chunk-shape": (1,) * ndim,
                    "dtype": None,
                }
            }
            extra["block_info"] |= dict.fromkeys(arrays, extra["block_info"][None])
        dtype = infer(
            func,
            [_tiny(arrays[k]) if k in arrays else a for k, a in enumerate(args)],
            {**kwargs, **extra},
            "map_blocks",
        ).dtype

    # Output axes: those kept, with new ones in between.
    out_axes: list[int | None] = [*kept]
    for a in adds:
        out_axes.insert(a, None)
    place = {axis: k for k, axis in enumerate(out_axes) if axis is not None}
    widest: list[tuple[int | None, ...]] = [(1,)] * ndim
    for e in arrays.values():
        for k, cuts in enumerate(e.chunks):
            axis = k + ndim - e.ndim
            if len(cuts) > len(widest[axis]) or (len(cuts) == len(widest[axis]) and widest[axis] == (1,)):
                widest[axis] = cuts
    out: list[tuple[int | None, ...]] = [(1,) if axis is None else widest[axis] for axis in out_axes]
    if chunks is not None:
        if not isinstance(chunks, (tuple, list)):
            chunks = (chunks,)
        if len(chunks) != len(out):
            raise ValueError(
                f"Provided chunks have {len(chunks)} dims; expected {len(out)} dims after drop_axis and new_axis"
            )
        out = [
            o
            if c is None
            else _cut_like(c, len(o), k)
            if out_axes[k] is not None
            else _cut_like(c, 1 if hasattr(c, "__index__") else len(c), k)
            for k, (c, o) in enumerate(zip(chunks, out, strict=True))
        ]
        if any(len(c) != 1 for k, c in enumerate(out) if out_axes[k] is None):
            raise ValueError("a new axis has one chunk in every block")
    cuts_out: Chunks = tuple(out)

    inputs = []
    for e in arrays.values():
        along: list[tuple[Any, ...]] = []
        for k in range(e.ndim):
            axis = k + ndim - e.ndim
            along.append(("block", place[axis]) if axis in place else ("whole",))
        inputs.append((e, along))
    positions = list(arrays)
    infos = _Infos(arrays, cuts_out, np.dtype(dtype), out_axes, ndim) if wants_info else None

    def on_blocks(block_id: tuple[int, ...], *given: Any) -> Any:
        values = list(args)
        for k, block in zip(positions, given, strict=True):
            values[k] = block
        more = dict(kwargs)
        if wants_id:
            more["block_id"] = block_id
        if infos is not None:
            more["block_info"] = infos.at(block_id)
        return func(*values, **more)

    return blockwise_native(on_blocks, name, inputs, cuts_out, dtype)


def _from_nothing(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    name: str,
    dtype: Any,
    chunks: Any,
    kwargs: dict[str, Any],
) -> Array:
    """Without arrays: one call for each block of the chunks that were given."""
    if chunks is None or not all(isinstance(c, (tuple, list)) for c in chunks):
        raise ValueError("map_blocks without arrays needs chunks=, a tuple of lengths for each axis")
    cuts: Chunks = tuple(tuple(operator.index(n) for n in c) for c in chunks)
    wants_id, wants_info = _accepts(func, "block_id"), _accepts(func, "block_info")
    kind = None if dtype is None else np.dtype(dtype)
    infos = _Infos({}, cuts, kind, list(range(len(cuts))), len(cuts)) if wants_info else None

    def more(block_id: tuple[int, ...]) -> dict[str, Any]:
        extra: dict[str, Any] = {"block_id": block_id} if wants_id else {}
        if infos is not None:
            extra["block_info"] = infos.at(block_id)
        return {**kwargs, **extra}

    if dtype is None:
        dtype = infer(func, args, more((0,) * len(cuts)), "map_blocks").dtype
    return blockwise_native(lambda block_id: func(*args, **more(block_id)), name, [], cuts, dtype)


class _Infos:
    """What `block_info` says."""

    def __init__(
        self, arrays: Mapping[int, Expr], out: Chunks, dtype: Any, out_axes: Sequence[int | None], ndim: int
    ) -> None:
        self.arrays, self.out, self.dtype, self.out_axes, self.ndim = arrays, out, dtype, out_axes, ndim

    @staticmethod
    def _of(chunks: Chunks, at: Sequence[int]) -> dict[str, Any]:
        if any(n is None for c in chunks for n in c):
            return {"num-chunks": tuple(len(c) for c in chunks), "chunk-location": tuple(at)}
        known = [[n or 0 for n in c] for c in chunks]
        ends = [np.cumsum(c).tolist() for c in known]
        return {
            "shape": tuple(sum(c) for c in known),
            "num-chunks": tuple(len(c) for c in known),
            "array-location": [(e[i] - c[i], e[i]) for c, e, i in zip(known, ends, at, strict=True)],
            "chunk-location": tuple(at),
        }

    def at(self, block_id: Sequence[int]) -> dict[Any, Any]:
        info: dict[Any, Any] = {}
        where = {axis: i for axis, i in zip(self.out_axes, block_id, strict=True) if axis is not None}
        for k, e in self.arrays.items():
            own = [where.get(a + self.ndim - e.ndim, 0) if len(c) > 1 else 0 for a, c in enumerate(e.chunks)]
            whole = [a + self.ndim - e.ndim not in where for a in range(e.ndim)]
            cuts = tuple((sum(n or 0 for n in c),) if w else c for c, w in zip(e.chunks, whole, strict=True))
            info[k] = self._of(cuts, [0 if w else i for i, w in zip(own, whole, strict=True)])
        info[None] = self._of(self.out, block_id)
        info[None]["chunk-shape"] = tuple(c[i] for c, i in zip(self.out, block_id, strict=True))
        info[None]["dtype"] = self.dtype
        return info


def _aligned(arrays: dict[int, Expr], name: str) -> dict[int, Expr]:
    """The same number of blocks along each axis, counted from the last; one block goes with all."""
    ndim = max(e.ndim for e in arrays.values())
    result = dict(arrays)
    for axis in range(1, ndim + 1):
        cuts = {k: e.chunks[-axis] for k, e in result.items() if e.ndim >= axis}
        several = {c for c in cuts.values() if len(c) > 1}
        if len({len(c) for c in several}) <= 1 and (
            len(several) <= 1 or len({sum(n or 0 for n in c) for c in several}) > 1
        ):
            # One block of an axis that others cut: if it is as long, it is cut too.
            if len(several) == 1:
                (common,) = several
                for k, c in cuts.items():
                    if len(c) == 1 and None not in common and c[0] == sum(n or 0 for n in common):
                        e = result[k]
                        result[k] = _native.rechunk(
                            e, (*e.chunks[: e.ndim - axis], common, *e.chunks[e.ndim - axis + 1 :])
                        )
            continue
        totals = {sum(n or 0 for n in c) if None not in c else None for c in several}
        if len(totals) != 1 or None in totals:
            raise ValueError(
                f"{name}: the arrays have {', '.join(str(len(c)) for c in cuts.values())} blocks along axis -{axis}, which do "
                f"not correspond (shapes {', '.join(str(e.shape) for e in arrays.values())}); rechunk them alike"
            )
        finest = refined(several)
        for k, c in cuts.items():
            if len(c) > 1 or c[0] == sum(finest):
                e = result[k]
                result[k] = _native.rechunk(
                    e, (*e.chunks[: e.ndim - axis], finest, *e.chunks[e.ndim - axis + 1 :])
                )
    return result


def blockwise(
    func: Callable[..., Any],
    out_ind: Sequence[Any],
    *args: Any,
    name: str | None = None,
    dtype: Any = None,
    adjust_chunks: Mapping[Any, Any] | None = None,
    new_axes: Mapping[Any, Any] | None = None,
    align_arrays: bool = True,
    concatenate: bool | None = None,
    meta: Any = None,
    **kwargs: Any,
) -> Array:
    """Applies a Python function to blocks that correspond by index letters.

    Parameters
    ----------
    func : callable
        Called with NumPy arrays.
    out_ind : sequence
        The index of each axis of the result, such as ``"ij"``.
    *args : Array, index pairs
        Arrays and their indices in turn; an index of None passes an object as it is.
    name : str, optional
        What to call it in graphs.
    dtype : dtype, optional
        Of the result; if not given, the function is tried on tiny arrays.
    adjust_chunks : dict, optional
        For an index the length of its chunks in the result: a number, a tuple, or a function of the present length.
    new_axes : dict, optional
        For an index that no argument has: its length, or chunks.
    align_arrays : bool
        Whether arrays are cut alike first.
    concatenate : bool, optional
        Indices that the result lacks: True gives the function whole arrays along them. Without it they must have one block,
        since lists of blocks, as in Dask, are not supported.
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
    >>> x, y = da.arange(4, chunks=2), da.arange(3, chunks=3)
    >>> da.blockwise(np.multiply.outer, "ij", x, "i", y, "j").compute()
    array([[0, 0, 0],
           [0, 1, 2],
           [0, 2, 4],
           [0, 3, 6]])
    """
    if len(args) % 2:
        raise ValueError("blockwise takes arrays and their indices in turn; the last one lacks its index")
    name = name or function_name(func)
    out = tuple(out_ind)
    if len(set(out)) != len(out):
        raise ValueError(f"repeated index in the result: {out}")
    values = list(args[0::2])
    letters = [None if ind is None else tuple(ind) for ind in args[1::2]]
    exprs: dict[int, Expr] = {}
    for k, (value, ind) in enumerate(zip(values, letters, strict=True)):
        if ind is None:
            continue
        exprs[k] = as_expr(value)
        if exprs[k].ndim != len(ind):
            raise ValueError(f"argument {k} has {exprs[k].ndim} dimensions, but its index is {ind}")
    known: dict[Any, tuple[int | None, ...]] = {}
    for k, e in exprs.items():
        for letter, cuts in zip(letters[k] or (), e.chunks, strict=True):
            old = known.get(letter)
            if old is None or old == (1,):
                known[letter] = cuts
            elif old != cuts and cuts != (1,):
                if None in old or None in cuts or sum(n or 0 for n in old) != sum(n or 0 for n in cuts):
                    raise ValueError(f"index {letter!r} has chunks {old} and {cuts}, which do not correspond")
                if not align_arrays:
                    if len(old) != len(cuts):
                        raise ValueError(
                            f"index {letter!r} is cut in {len(old)} and {len(cuts)} blocks; use align_arrays=True"
                        )
                    continue
                known[letter] = refined((old, cuts))
    if align_arrays:
        for k, e in exprs.items():
            alike = tuple(
                known[letter] if c != (1,) or known[letter] == (1,) else c
                for letter, c in zip(letters[k] or (), e.chunks, strict=True)
            )
            exprs[k] = e if alike == e.chunks else _native.rechunk(e, alike)
    chunks: list[tuple[int | None, ...]] = []
    for axis, letter in enumerate(out):
        if letter in known:
            cuts = known[letter]
            change = (adjust_chunks or {}).get(letter)
            if callable(change):
                cuts = tuple(change(n) for n in cuts)
            elif change is not None:
                cuts = _cut_like(change, len(cuts), axis)
        elif letter in (new_axes or {}):
            length = (new_axes or {})[letter]
            cuts = (operator.index(length),) if hasattr(length, "__index__") else tuple(length)
        else:
            raise ValueError(f"index {letter!r} of the result is in no argument; give its length in new_axes")
        chunks.append(cuts)
    for k, ind in enumerate(letters):
        for letter in ind or ():
            if letter not in out and len(known[letter]) > 1 and not concatenate:
                raise _native.UnsupportedError(
                    f"index {letter!r} of argument {k} is not in the result and has {len(known[letter])} blocks: use "
                    f"concatenate=True, which gives the function whole arrays along it"
                )
    if meta is not None and dtype is None:
        dtype = np.dtype(getattr(meta, "dtype", meta))
    if dtype is None:
        tiny = [_tiny(exprs[k]) if k in exprs else v for k, v in enumerate(values)]
        dtype = infer(func, tiny, kwargs, "blockwise").dtype
    inputs = [
        (e, [("block", out.index(letter)) if letter in out else ("whole",) for letter in letters[k] or ()])
        for k, e in exprs.items()
    ]
    positions = list(exprs)

    def on_blocks(block_id: Any, *given: Any) -> Any:
        call = list(values)
        for k, block in zip(positions, given, strict=True):
            call[k] = block
        return func(*call, **kwargs)

    return blockwise_native(on_blocks, name, inputs, tuple(chunks), dtype)


def apply_along_axis(
    func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, dtype: Any = None, **kwargs: Any
) -> Array:
    """Applies a Python function to vectors along an axis.

    Parameters
    ----------
    func1d : callable
        Called with a vector and the other arguments.
    axis : int
        The axis.
    arr : array_like
        The array.
    *args, **kwargs
        Passed to the function.
    dtype : dtype, optional
        Of the result; if not given, the function is tried on a vector of ones.

    Returns
    -------
    Array
        With the axes of the function's result in the place of `axis`.

    Examples
    --------
    >>> import numpy as np
    >>> import pantile.array as da
    >>> da.apply_along_axis(np.ptp, 1, da.asarray([[1, 4], [2, 9]])).compute()
    array([3, 7])
    """
    e = as_expr(arr)
    at = axis_index(axis, e.ndim)
    sample = infer(
        func1d, [np.ones((e.shape[at] or 1,), np.dtype(e.dtype)), *args], kwargs, "apply_along_axis"
    )
    kind = sample.dtype if dtype is None else np.dtype(dtype)
    along: list[tuple[Any, ...]] = []
    chunks: list[tuple[int | None, ...]] = []
    for k in range(e.ndim):
        if k == at:
            along.append(("whole",))
            chunks += [(n,) for n in sample.shape]
        else:
            along.append(("block", len(chunks)))
            chunks.append(e.chunks[k])
    return blockwise_native(
        lambda block_id, block: np.apply_along_axis(func1d, at, block, *args, **kwargs),
        function_name(func1d),
        [(e, along)],
        tuple(chunks),
        kind,
    )
