"""Running expressions: settings become options of a run.

Everything that computes goes through here: `compute`, `persist`, `store`. Whoever watches runs (the progress bar,
profilers, reports) tells the extension (`_native.watch`), not this module.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
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


def _collect(value: Any, found: list[Any], kind: type) -> None:
    if isinstance(value, kind):
        found.append(value)
    elif type(value) in (list, tuple, set, frozenset):
        for v in value:
            _collect(v, found, kind)
    elif type(value) is dict:
        for v in value.values():
            _collect(v, found, kind)


def _replace(value: Any, results: dict[int, Any]) -> Any:
    if id(value) in results:
        return results[id(value)]
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(_replace(v, results) for v in value)
    if type(value) is dict:
        return {k: _replace(v, results) for k, v in value.items()}
    return value


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
    """Computes arrays and delayed values and keeps their blocks and values in memory.

    Parameters
    ----------
    *args : Array, Delayed or any object
        As for `compute`.
    executor, scheduler, num_workers : optional
        As for `compute`.

    Returns
    -------
    tuple
        The same arrays and delayed values, whose blocks and values are there now.

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
    found: list[Any] = []
    _collect(args, found, Array)
    kept: dict[int, Any] = {}
    if found:
        blocks = run(lambda opts: _native.persist([a._expr for a in found], opts))
        kept = {id(a): Array(v) for a, v in zip(found, blocks, strict=True)}
    nodes: list[Any] = []
    _collect(args, nodes, _native.Delayed)
    if nodes:
        values = _compute_nodes(nodes)
        kept.update(
            (id(n), _native.delayed(v, n.key, None, None, False)) for n, v in zip(nodes, values, strict=True)
        )
    return tuple(_replace(arg, kept) for arg in args)
