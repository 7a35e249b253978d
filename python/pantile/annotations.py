"""Annotations: what whoever builds a node says about how it should run.

``with annotate(retries=3):`` holds for the nodes that are built inside it, by this thread or coroutine (and those that
inherit its context, as tasks of asyncio do), not for those that are computed inside it. Blocks nest: inner ones win, key by
key. The annotations in force are one plain dictionary that is never changed, so a node keeps it by reference.

Not here: what an annotation does. That is the executor's business; keys that no executor knows are kept for whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from pantile import _native
from pantile.config import EXECUTORS

__all__ = ["annotate", "get_annotations"]

P = ParamSpec("P")
R = TypeVar("R")

_current: ContextVar[dict[str, Any] | None] = ContextVar("pantile.annotations", default=None)

# What was in force outside each block that is open in this context, outermost first.
_outer: ContextVar[tuple[dict[str, Any] | None, ...]] = ContextVar("pantile.annotations.outer", default=())

# The annotations in force, None where there are none. Asked for each node that is built, so it is the variable's own method.
current: Callable[[], dict[str, Any] | None] = _current.get
_native._annotations_from(current)


def _integer(key: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{key} must be an integer, not {value!r}")
    return int(value.__index__())


def _priority(value: Any) -> int:
    return _integer("priority", value)


def _retries(value: Any) -> int:
    count = _integer("retries", value)
    if count < 0:
        raise ValueError(f"retries must be 0 or more, not {count}")
    return count


def _resources(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise TypeError(
            f"resources must be a dictionary of names and amounts, such as {{'GPU': 1}}, not {value!r}"
        )
    for name, amount in value.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a resource must be a string, not {name!r}")
        if isinstance(amount, bool) or not isinstance(amount, (int, float)):
            raise TypeError(f"the amount of resource {name!r} must be a number, not {amount!r}")
        if not 0 <= amount < float("inf"):
            raise ValueError(
                f"the amount of resource {name!r} must be finite and not negative, not {amount!r}"
            )
    return dict(value)


def _executor(value: Any) -> str:
    if value not in EXECUTORS:
        raise ValueError(f"executor must be one of {', '.join(map(repr, EXECUTORS))}, not {value!r}")
    return str(value)


def _workers(value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(n, str) for n in names):
        raise TypeError(f"workers must be a name or a list of names, not {value!r}")
    return tuple(sorted(names) if isinstance(names, (set, frozenset)) else names)


def _allow_other_workers(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"allow_other_workers must be True or False, not {value!r}")
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "priority": _priority,
    "retries": _retries,
    "resources": _resources,
    "executor": _executor,
    "workers": _workers,
    "allow_other_workers": _allow_other_workers,
}


class annotate:
    """Says how the nodes that are built in a ``with`` block, or in a decorated function, should run.

    Parameters
    ----------
    priority : int, optional
        Of tasks that are ready, those with the highest priority run first.
    retries : int, optional
        How often a failed call is tried again.
    resources : dict, optional
        What a task needs while it runs: names and amounts. The executors of this package do not limit anything by it:
        with ``{"GPU": 1}`` as many tasks run at once as without. It is checked and kept for whoever asks.
    executor : str, optional
        ``"threads"``, ``"sync"`` or ``"processes"``.
    workers : str or list of str, optional
        Which workers may run it. The executors of this package have no named workers; it is kept, as are resources.
    allow_other_workers : bool, optional
        Whether others may where those are not there.
    **annotations
        Anything else is kept with the nodes.

    Raises
    ------
    TypeError, ValueError
        A value that its key cannot have.

    See Also
    --------
    get_annotations

    Examples
    --------
    >>> import pantile
    >>> with pantile.annotate(priority=1, retries=2):
    ...     with pantile.annotate(priority=5):
    ...         pantile.get_annotations()
    {'priority': 5, 'retries': 2}
    """

    def __init__(self, **annotations: Any) -> None:
        self._own = {
            key: _CHECKS[key](value) if key in _CHECKS else value for key, value in annotations.items()
        }

    def __enter__(self) -> annotate:
        # Nothing is kept in `self`: it may be entered again before it is left, by recursion or by several threads.
        before = _current.get()
        _outer.set((*_outer.get(), before))
        _current.set({**(before or {}), **self._own})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        *outer, before = _outer.get()
        _outer.set(tuple(outer))
        _current.set(before)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """`function`, whose body is a block of these annotations."""

        @wraps(function)
        def annotated(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return annotated


@contextmanager
def exactly(annotations: dict[str, Any] | None) -> Iterator[None]:
    """A block in which these annotations are in force and no others: for what is built later than it was asked for."""
    token = _current.set(annotations)
    try:
        yield
    finally:
        _current.reset(token)


def get_annotations() -> dict[str, Any]:
    """The annotations in force here.

    Returns
    -------
    dict
        Keys and values; a copy, empty where there are none.

    See Also
    --------
    annotate

    Examples
    --------
    >>> import pantile
    >>> pantile.get_annotations()
    {}
    """
    return dict(_current.get() or {})
