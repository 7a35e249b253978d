"""`Callback`: Python functions that are called when runs begin and end and for each of their tasks.

The other tools here do not use them for each task: they read logs that the engine writes without Python (`profile`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from pantile import _native

__all__ = ["Callback"]

Functions = tuple[Callable[..., Any] | None, ...]
C = TypeVar("C", bound="Callback")

_FIELDS = ("_start", "_start_state", "_pretask", "_posttask", "_finish")


class Callback:
    """Calls functions when runs begin and end, and before and after each task.

    Give the functions as arguments, or write a subclass with methods ``_start``, ``_start_state``, ``_pretask``,
    ``_posttask`` and ``_finish``. Then use it in a ``with`` block, or `register` it for every run from then on.

    Each call takes the GIL, and calls never overlap. So a function that is called for each task makes a run of small
    native tasks many times slower; `Profiler` and `pantile.report` learn the same at hardly any cost. A function that
    raises stops the run, which then raises that exception.

    A run inside a task of another run, or inside a callback, is not told of.

    Parameters
    ----------
    start : function of (graph), optional
        A run begins. `graph` maps the names of its tasks to their operations.
    start_state : function of (graph, state), optional
        Likewise. ``len(state["finished"])`` tells how many tasks are done; there are ``"running"``, ``"ready"`` and
        ``"waiting"`` too, as well as ``state.tasks`` and ``state.done``.
    pretask : function of (key, graph, state), optional
        The task of this name begins.
    posttask : function of (key, value, graph, state, worker_id), optional
        It has ended and made this value: for blocks, a NumPy array that cannot be written to.
    finish : function of (graph, state, failed), optional
        The run is over; `failed` tells whether it ended with an exception.

    Examples
    --------
    >>> import pantile.array as da
    >>> from pantile.diagnostics import Callback
    >>> sums = []
    >>> def posttask(key, value, graph, state, worker_id):
    ...     sums.append(graph[key])
    >>> with Callback(posttask=posttask):
    ...     _ = da.from_array([1.0, 2.0, 3.0, 4.0], chunks=2).sum().compute()
    >>> "sum" in sums
    True
    """

    active: ClassVar[Mapping[Functions, int]] = {}
    """What is registered now, as tuples of functions. Changed by `register` and `unregister` only."""

    def __init__(
        self,
        start: Callable[[Any], Any] | None = None,
        start_state: Callable[[Any, Any], Any] | None = None,
        pretask: Callable[[str, Any, Any], Any] | None = None,
        posttask: Callable[[str, Any, Any, Any, int], Any] | None = None,
        finish: Callable[[Any, Any, bool], Any] | None = None,
    ) -> None:
        for name, function in zip(_FIELDS, (start, start_state, pretask, posttask, finish), strict=True):
            if function is not None:
                if not callable(function):
                    raise TypeError(f"{name[1:]} must be a function, not {function!r}")
                setattr(self, name, function)

    @property
    def _callback(self) -> Functions:
        return tuple(getattr(self, name, None) for name in _FIELDS)

    def __enter__(self: C) -> C:
        self.register()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _remove(self._callback)

    def register(self) -> None:
        """Calls the functions in every run from now on. To register the same functions again changes nothing."""
        active = _active()
        functions = self._callback
        if functions not in active:
            active[functions] = _native.watch(functions)

    def unregister(self) -> None:
        """Calls them no more.

        Raises
        ------
        KeyError
            When they are not registered.
        """
        if not _remove(self._callback):
            raise KeyError(f"{self!r} is not registered")


def _active() -> dict[Functions, int]:
    assert isinstance(Callback.active, dict)
    return Callback.active


def _remove(functions: Functions) -> bool:
    number = _active().pop(functions, None)
    return number is not None and _native.unwatch(number)
