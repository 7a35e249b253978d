"""Running expressions: settings become options of a run, and whoever watches is told.

Everything that computes goes through here: `compute`, `persist`, `store`. Watchers (the progress bar) register themselves
in `watchers`; each gives a `Progress` for a run, which the engine's threads update without the GIL.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pantile import _native, config

if TYPE_CHECKING:
    from pantile._native import Expr

__all__ = ["compute", "persist"]

T = TypeVar("T")


class Watcher(Protocol):
    """What is told about runs."""

    def begin(self) -> _native.Progress:
        """A run begins; it will update these counters."""

    def end(self, progress: _native.Progress, error: BaseException | None) -> None:
        """That run has ended, with this error if it failed."""


watchers: list[Watcher] = []


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
    return {
        # Zero is the engine's own default, which needs no look at the machine.
        "threads": config.get("num_threads") if config.is_set("num_threads") else 0,
        "executor": config.get("executor"),
        "limit": config.get("memory_limit"),
        "spill_dir": config.get("spill_dir"),
        "progress": [],
    }


def run(work: Callable[[dict[str, Any]], T]) -> T:
    """Calls `work` with the options of a run, watched by all watchers."""
    opts = options()
    if not watchers:
        return work(opts)
    watched = [(watcher, watcher.begin()) for watcher in tuple(watchers)]
    opts["progress"] = [progress for _, progress in watched]
    error: BaseException | None = None
    try:
        return work(opts)
    except BaseException as e:
        error = e
        raise
    finally:
        for watcher, progress in watched:
            watcher.end(progress, error)


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


def _replace(value: Any, results: dict[int, Any], kind: type) -> Any:
    if isinstance(value, kind):
        return results[id(value)]
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(_replace(v, results, kind) for v in value)
    if type(value) is dict:
        return {k: _replace(v, results, kind) for k, v in value.items()}
    return value


def compute(*args: Any) -> tuple[Any, ...]:
    """Computes several arrays in one run, so that what they share is computed once.

    Parameters
    ----------
    *args : Array or any object
        Arrays, also inside lists, tuples, sets and dictionaries. Anything else is returned as it is.

    Returns
    -------
    tuple
        For each argument the same with NumPy arrays (or scalars) in the arrays' places.

    Examples
    --------
    >>> import pantile
    >>> import pantile.array as da
    >>> x = da.arange(5)
    >>> low, high = pantile.compute(x.min(), x.max())
    >>> int(low), int(high)
    (0, 4)
    """
    from pantile.array.core import Array

    found: list[Any] = []
    _collect(args, found, Array)
    if not found:
        return args
    values = compute_exprs([a._expr for a in found])
    results = {id(a): v for a, v in zip(found, values, strict=True)}
    return tuple(_replace(arg, results, Array) for arg in args)


def persist(*args: Any) -> tuple[Any, ...]:
    """Computes arrays and keeps their blocks in memory, in one run.

    Parameters
    ----------
    *args : Array or any object
        As for `compute`.

    Returns
    -------
    tuple
        The same arrays, whose blocks are there now.

    Examples
    --------
    >>> import pantile
    >>> import pantile.array as da
    >>> (x,) = pantile.persist(da.ones((4, 4), chunks=2) + 1)
    >>> float(x.sum().compute())
    32.0
    """
    from pantile.array.core import Array

    found: list[Any] = []
    _collect(args, found, Array)
    if not found:
        return args
    values = run(lambda opts: _native.persist([a._expr for a in found], opts))
    results = {id(a): Array(v) for a, v in zip(found, values, strict=True)}
    return tuple(_replace(arg, results, Array) for arg in args)
