"""Running expressions: settings become options of a run.

Everything that computes goes through here: `compute`, `persist`, `store`. Whoever watches runs (the progress bar,
profilers, reports) tells the extension (`_native.watch`), not this module.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pantile import _native, config

if TYPE_CHECKING:
    from pantile._native import Expr

__all__ = ["compute", "persist"]

T = TypeVar("T")


def options() -> dict[str, Any]:
    """The settings, as a run takes them."""
    folder = config.get("cache_dir")
    if not _native.set_cache_dir(folder) and folder is not None:
        warnings.warn(
            f"cache_dir={folder!r} has no effect: kernels were compiled before it was set; set it before the first run, "
            "or in the environment as PANTILE_CACHE_DIR",
            RuntimeWarning,
            stacklevel=2,
        )
    chosen = _chosen.get()
    # Zero is the engine's own default, which needs no look at the machine.
    threads = config.get("num_threads") if config.is_set("num_threads") else 0
    return {
        "threads": chosen.get("num_threads", threads),
        "executor": chosen.get("executor") or config.get("executor"),
        "limit": config.get("memory_limit"),
        "spill_dir": config.get("spill_dir"),
        "retries": config.get("retries"),
    }


# What the arguments of a `compute` say instead of the settings, in the thread or coroutine that called it.
_chosen: ContextVar[dict[str, Any]] = ContextVar("pantile.run", default={})  # noqa: B039 (never changed)


@contextmanager
def _choosing(chosen: dict[str, Any]) -> Iterator[None]:
    token = _chosen.set({**_chosen.get(), **config.checked(chosen)})
    try:
        yield
    finally:
        _chosen.reset(token)


def run(work: Callable[[dict[str, Any]], T]) -> T:
    """Calls `work` with the options of a run."""
    return work(options())


def compute_exprs(exprs: Sequence[Expr]) -> list[Any]:
    """NumPy's arrays, or scalars where there is no axis, as NumPy's functions give them."""
    results = run(lambda opts: _native.compute(exprs, opts))
    return [r[()] if r.ndim == 0 else r for r in results]


def _children(value: Any) -> list[Any]:
    """What a container holds that may be replaced: the values of dictionaries, the fields of dataclasses."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        return list(value)
    if kind is dict:
        return list(value.values())
    if kind is slice:
        return [value.start, value.stop, value.step]
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return list(value)
    if hasattr(kind, "__dataclass_fields__"):
        return [getattr(value, name) for name in kind.__dataclass_fields__ if hasattr(value, name)]
    return []


def _rebuilt(value: Any, children: list[Any]) -> Any:
    """A container like `value` that holds `children`."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        return kind(children)
    if kind is dict:
        return dict(zip(value, children, strict=True))
    if kind is slice:
        return slice(*children)
    if isinstance(value, tuple):
        return kind._make(children)
    # A copy that fields are set in: dataclasses.replace() would run __init__, and refuses fields with init=False.
    new = copy.copy(value)
    names = [name for name in kind.__dataclass_fields__ if hasattr(value, name)]
    for name, child in zip(names, children, strict=True):
        object.__setattr__(new, name, child)
    return new


def _collect(value: Any, found: dict[int, Any], kind: type) -> None:
    if isinstance(value, (kind, _native.Delayed)) or hasattr(type(value), "__pantile_persist__"):
        found[id(value)] = value
        return
    for child in _children(value):
        _collect(child, found, kind)


def _replace(value: Any, results: dict[int, Any]) -> Any:
    if id(value) in results:
        return results[id(value)]
    children = _children(value)
    replaced = [_replace(child, results) for child in children]
    if all(new is old for new, old in zip(replaced, children, strict=True)):
        return value
    return _rebuilt(value, replaced)


def _choices(executor: str | None, scheduler: str | None, num_workers: int | None) -> dict[str, Any]:
    """The settings that arguments of a run stand for. `scheduler` and its names are Dask's."""
    if scheduler is not None:
        if executor is not None:
            raise TypeError("executor and scheduler are the same; pass one of them")
        executor = {"synchronous": "sync", "single-threaded": "sync", "threading": "threads"}.get(
            scheduler, scheduler
        )
    chosen: dict[str, Any] = {}
    if executor is not None:
        chosen["executor"] = executor
    if num_workers is not None:
        chosen["num_threads"] = num_workers
    return chosen


def compute(
    *args: Any,
    executor: str | None = None,
    scheduler: str | None = None,
    num_workers: int | None = None,
    traverse: bool = True,
) -> tuple[Any, ...]:
    """Computes several arrays, delayed values and bags in one run, so that what they share is computed once.

    Parameters
    ----------
    *args : Array, Delayed, Bag or any object
        Also inside lists, tuples, sets, dictionaries and dataclasses. Anything else is returned as it is.
    executor : str, optional
        Where Python functions run: ``"threads"``, ``"sync"`` or ``"processes"``; the setting `executor`.
    scheduler : str, optional
        The same by Dask's name.
    num_workers : int, optional
        How many threads or processes; the setting `num_threads`.
    traverse : bool, optional
        Whether containers among the arguments are searched.

    Returns
    -------
    tuple
        For each argument the same with values (NumPy arrays or scalars in the places of arrays).

    Raises
    ------
    MemoryLimitError
        The result or a task does not fit the memory limit.
    Exception
        What a function has raised, with a note of the call that failed and the line that built it.

    Examples
    --------
    >>> import pantile
    >>> import pantile.array as da
    >>> x = da.arange(5)
    >>> low, high = pantile.compute(x.min(), x.max())
    >>> int(low), int(high)
    (0, 4)
    >>> double = pantile.delayed(lambda value: 2 * value)
    >>> pantile.compute(double(2), [double(3), "and"], executor="sync")
    (4, [6, 'and'])
    """
    chosen = _choices(executor, scheduler, num_workers)
    if chosen:
        with _choosing(chosen):
            return compute(*args, traverse=traverse)
    if all(type(a) is _native.Delayed for a in args):
        return tuple(_compute_nodes(args))
    from pantile.array.core import Array

    if all(isinstance(a, Array) for a in args):
        return tuple(compute_exprs([a._expr for a in args]))
    if not traverse:
        return tuple(_compute_nodes([_native.delayed(a, None, None, None, False) for a in args]))
    return tuple(_compute_nodes([_native.delayed(a) for a in args]))


def _compute_nodes(nodes: Sequence[Any]) -> list[Any]:
    """The values of nodes. Arrays among their arguments are computed first, all in one run."""
    graph = _native.delayed_graph(nodes)
    arrays = compute_exprs([a._expr for a in graph.arrays]) if graph.arrays else []
    return run(lambda opts: graph.run(opts, arrays))


def persist(
    *args: Any, executor: str | None = None, scheduler: str | None = None, num_workers: int | None = None
) -> tuple[Any, ...]:
    """Computes arrays, delayed values and bags and keeps their blocks, values and partitions in memory.

    Parameters
    ----------
    *args : Array, Delayed, Bag, Item or any object
        As for `compute`. Delayed values and bags are computed in one run, arrays in another before it.
    executor, scheduler, num_workers : optional
        As for `compute`.

    Returns
    -------
    tuple
        The same arrays, delayed values and bags, whose blocks, values and partitions are there now.

    Raises
    ------
    RecursionError
        Containers are nested too deep, or one holds itself.

    Examples
    --------
    >>> import pantile
    >>> import pantile.array as da
    >>> (x,) = pantile.persist(da.ones((4, 4), chunks=2) + 1)
    >>> float(x.sum().compute())
    32.0
    """
    from pantile.array.core import Array

    chosen = _choices(executor, scheduler, num_workers)
    if chosen:
        with _choosing(chosen):
            return persist(*args)
    found: dict[int, Any] = {}
    with _explained_depth():
        _collect(args, found, Array)
    arrays = [v for v in found.values() if isinstance(v, Array)]
    kept: dict[int, Any] = {}
    if arrays:
        blocks = run(lambda opts: _native.persist([a._expr for a in arrays], opts))
        kept = {id(a): Array(v) for a, v in zip(arrays, blocks, strict=True)}
    # For each the nodes that give its values, and what makes the same of the values.
    graphs = {
        key: ([v], partial(_known, v)) if type(v) is _native.Delayed else v.__pantile_persist__()
        for key, v in found.items()
        if key not in kept
    }
    if graphs:
        values = iter(_compute_nodes([node for nodes, _ in graphs.values() for node in nodes]))
        for key, (nodes, rebuild) in graphs.items():
            kept[key] = rebuild([next(values) for _ in nodes])
    with _explained_depth():
        return tuple(_replace(arg, kept) for arg in args)


def _known(node: Any, values: list[Any]) -> Any:
    """A node with the key of `node` whose value is there."""
    return _native.delayed(values[0], node.key, None, None, False)


@contextlib.contextmanager
def _explained_depth() -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise RecursionError(
            "an argument of persist has containers nested too deep, or one that holds itself"
        ) from None
