"""Graphs changed as a whole: wait for something first, compute something again, know that something is done.

The names, arguments and meanings are Dask's. Delayed values are rebuilt natively (`crates/python/src/delayed/rebuild.rs`).
Bags and items stay bags and items; their tasks so far are as they are, and are not fused with later steps. Arrays have an
engine of their own, whose expressions are computed before any call: they can be waited for, and wait for other arrays.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from pantile import _native
from pantile._tokenize import tokenize
from pantile.annotations import annotate

__all__ = ["bind", "checkpoint", "clone", "wait_on"]


def checkpoint(*collections: Any, split_every: float | bool | None = None) -> Any:
    """A delayed value that is None once everything has been computed.

    Parameters
    ----------
    *collections : Delayed, Bag, Item, Array or containers of them
        What is computed. Each value is let go of as soon as it is there.
    split_every : int or False, optional
        So many values are waited for by one task; more are by a tree of tasks. Default: 8. False: one task for all.

    Returns
    -------
    Delayed
        None.

    Examples
    --------
    >>> from pantile import delayed
    >>> from pantile.graph_manipulation import checkpoint
    >>> written = []
    >>> done = checkpoint([delayed(written.append)(i) for i in range(3)])
    >>> done.compute()
    >>> sorted(written)
    [0, 1, 2]
    """
    every = _split_every(split_every)
    found, _ = _unpack(collections)
    parts = [part for one in found for part in _parts(one)]
    # Here and not in a worker process, where every value would have to go.
    with annotate(executor="threads"):
        done = _native.delayed(_done, "checkpoint")
        parts = [done(part) for part in parts]
        while every is not None and len(parts) > every:
            parts = [done(*parts[k : k + every]) for k in range(0, len(parts), every)]
        return parts[0] if len(parts) == 1 else done(*parts)


def bind(
    children: Any,
    parents: Any,
    *,
    omit: Any = None,
    seed: Hashable | None = None,
    assume_layers: bool = True,
    split_every: float | bool | None = None,
) -> Any:
    """The same collections, which are not begun before others have been computed.

    All that the children need is made anew, so it is computed again where something else needs it too, up to what
    `omit` names.

    Parameters
    ----------
    children : Delayed, Bag, Item or containers of them
        What has to wait.
    parents : Delayed, Bag, Item, Array or containers of them
        What it waits for. None: nothing.
    omit : Delayed, Bag, Item or containers of them, optional
        What is not made anew. It does not wait; whatever needs it does.
    seed : hashable, optional
        The keys of the new calls depend on the old ones and on this alone. Default: a random one.
    assume_layers : bool, optional
        Whether only `omit` itself is kept where children need what is behind it in another way too. False: all that
        is behind it is kept.
    split_every : int or False, optional
        As for `checkpoint`.

    Returns
    -------
    Same as `children`
        With the same values.

    Raises
    ------
    TypeError
        There is an array among the children. Use `wait_on`, or make it an argument of a call.

    Examples
    --------
    >>> from pantile import delayed
    >>> from pantile.graph_manipulation import bind
    >>> log = []
    >>> write, read = delayed(log.append)("written"), delayed(log.copy)()
    >>> bind(read, write).compute()
    ['written']
    """
    after = None if parents is None else checkpoint(parents, split_every=split_every)
    return _again(children, omit, seed, assume_layers, after)


def clone(
    *collections: Any, omit: Any = None, seed: Hashable | None = None, assume_layers: bool = True
) -> Any:
    """The same collections, which are computed independently.

    Parameters
    ----------
    *collections : Delayed, Bag, Item or containers of them
        What is copied.
    omit, seed, assume_layers : optional
        As for `bind`.

    Returns
    -------
    Same as `collections`
        With the same values; a tuple for several.

    Raises
    ------
    TypeError
        There is an array among the collections: equal expressions of arrays are one.

    Examples
    --------
    >>> from pantile import compute, delayed
    >>> from pantile.graph_manipulation import clone
    >>> calls = []
    >>> one = delayed(calls.append)("called")
    >>> _ = compute(one, one, clone(one))
    >>> len(calls)
    2
    """
    out = _again(collections, omit, seed, assume_layers, None)
    return out[0] if len(collections) == 1 else out


def wait_on(*collections: Any, split_every: float | bool | None = None) -> Any:
    """The same collections, whose values are not there before all of them have been computed.

    Parameters
    ----------
    *collections : Delayed, Bag, Item, Array or containers of them
        What waits for each other. Arrays cannot wait for anything but arrays.
    split_every : int or False, optional
        As for `checkpoint`.

    Returns
    -------
    Same as `collections`
        With the same values; a tuple for several.

    Raises
    ------
    TypeError
        There are arrays and others.

    Examples
    --------
    >>> from pantile import delayed
    >>> from pantile.graph_manipulation import wait_on
    >>> log = []
    >>> parts = wait_on([delayed(log.append)(i) for i in range(3)])
    >>> delayed(len)(log_after := delayed(lambda first: list(log))(parts[0])).compute()
    3
    """
    found, repack = _unpack(collections)
    arrays = [one for one in found if _is_array(one)]
    if arrays and len(arrays) < len(found):
        raise TypeError(
            "arrays cannot wait for delayed values or bags, as they are computed before any call; "
            "wait on the arrays alone, or make them arguments of delayed calls"
        )
    if arrays:
        out = repack(_arrays_after(arrays, split_every))
        return out[0] if len(collections) == 1 else out
    done = checkpoint(*found, split_every=split_every)
    parts = [_parts(one) for one in found]
    flat = [part for of_one in parts for part in of_one]
    with annotate(executor="threads"):
        same = [_native.delayed(_same, "wait_on")(part) for part in flat]
    # Copies of these calls only, which wait.
    made = iter(_native.delayed_graph(same + flat).rebuilt(len(same), os.urandom(16), done))
    out = repack([_like(one, [next(made) for _ in of]) for one, of in zip(found, parts, strict=True)])
    return out[0] if len(collections) == 1 else out


# ---- what collections are made of ----


def _is_array(value: Any) -> bool:
    from pantile.array.core import Array

    return isinstance(value, Array)


def _unpack(values: Any) -> tuple[list[Any], Callable[[Iterable[Any]], Any]]:
    """The collections in containers, each once, and what puts others in their places."""
    found: dict[int, Any] = {}

    def look(value: Any) -> None:
        if isinstance(value, _native.Delayed) or hasattr(type(value), "__pantile_graph__"):
            found[id(value)] = value
        elif type(value) in (list, tuple, set, frozenset):
            for v in value:
                look(v)
        elif type(value) is dict:
            for k, v in value.items():
                look(k)
                look(v)

    look(values)
    originals = list(found.values())

    def repack(others: Iterable[Any]) -> Any:
        instead = {id(a): b for a, b in zip(originals, others, strict=True)}

        def put(value: Any) -> Any:
            if id(value) in instead:
                return instead[id(value)]
            if type(value) in (list, tuple, set, frozenset):
                return type(value)(put(v) for v in value)
            if type(value) is dict:
                return {put(k): put(v) for k, v in value.items()}
            return value

        return put(values)

    return originals, repack


def _parts(one: Any) -> list[Any]:
    """The delayed values that a collection consists of."""
    if isinstance(one, _native.Delayed):
        return [one]
    if _is_array(one):
        return [_native.delayed(_emptied(one))]
    from pantile.bag.core import Bag

    return one.to_delayed() if isinstance(one, Bag) else [one.to_delayed()]


def _like(one: Any, parts: list[Any]) -> Any:
    """A collection of the same kind made of these delayed values."""
    if isinstance(one, _native.Delayed):
        return parts[0]
    from pantile import bag

    return bag.from_delayed(parts) if isinstance(one, bag.Bag) else bag.Item.from_delayed(parts[0])


# ---- what nodes call ----


def _done(*_: Any) -> None:
    """What waits for others calls."""


def _same(value: Any) -> Any:
    """What a value that waits for others calls."""
    return value


def _split_every(value: float | bool | None) -> int | None:
    if value is None:
        return 8
    if value is False:
        return None
    if int(value) < 2:
        raise ValueError(f"split_every must be False, None or an integer from 2 on, not {value!r}")
    return int(value)


# ---- changing ----


def _again(values: Any, omit: Any, seed: Hashable | None, assume_layers: bool, after: Any) -> Any:
    found, repack = _unpack(values)
    if any(_is_array(one) for one in found):
        raise TypeError(
            "arrays cannot be made anew: equal expressions of arrays are one and are computed before any call; "
            "wait_on makes arrays wait for arrays, and delayed calls may have arrays as arguments"
        )
    kept, _ = _unpack(omit)
    if any(_is_array(one) for one in kept):
        raise TypeError("arrays are never made anew, so they need not be omitted")
    parts = [_parts(one) for one in found]
    flat = [part for of_one in parts for part in of_one]
    graph = _native.delayed_graph(flat + [part for one in kept for part in _parts(one)])
    word = os.urandom(16) if seed is None else tokenize(seed).encode()
    made = iter(graph.rebuilt(len(flat), word, after, not assume_layers))
    return repack([_like(one, [next(made) for _ in of]) for one, of in zip(found, parts, strict=True)])


# ---- arrays ----


def _nothing(block: Any) -> Any:
    import numpy as np

    return np.zeros((1,) * block.ndim, bool)


def _first(block: Any, _: Any) -> Any:
    return block


def _emptied(array: Any) -> Any:
    """A scalar array that is there once all blocks of an array are. No two blocks have to be held at once."""
    from pantile.array import map_blocks

    return map_blocks(_nothing, array, name="checkpoint", dtype=bool, chunks=(1,) * array.ndim).any()


def _arrays_after(arrays: list[Any], split_every: float | bool | None) -> list[Any]:
    from pantile.array import map_blocks

    _split_every(split_every)
    done = _emptied(arrays[0])
    for other in arrays[1:]:
        done = done | _emptied(other)
    return [map_blocks(_first, a, done, name="wait_on", dtype=a.dtype) for a in arrays]
