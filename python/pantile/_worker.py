"""A worker process: what it does from its start to its end.

It is started by the extension with the code that `_pickling.command` gives, reads calls from its standard input (a socket), and
ends when that does. A thread of the extension ends it at once when the parent is gone, whatever it is doing.

It imports as little as possible: NumPy, for example, comes with the first argument that needs it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from typing import Any

__all__ = ["main"]

# Workers run beside each other, one for each CPU as a rule: threads of their own would only get in each other's way.
_ONE_THREAD = ("PANTILE_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(parent: int) -> None:
    """Serves the process `parent` until it says that this is enough."""
    import signal

    from pantile import _native

    end = _native.WorkerEnd(parent)
    # Ctrl-C in a terminal reaches all its processes, and the parent decides what it means. A handler that does nothing,
    # rather than SIG_IGN: that would be inherited by the programs that a function starts.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.siginterrupt(signal.SIGINT, False)
    end.allow_interrupt()
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
    functions: dict[int, Any] = {}
    place = _Place()
    begun = False
    while (message := end.receive()) is not None:
        if isinstance(message, tuple):
            *call, initializer = message
            del message
            _answer(end, functions, *call)
            del call
            # The caller has its answer and does not wait for this.
            if initializer:
                place.keep()
            else:
                place.restore()
            continue
        _set_up(pickle.loads(message))
        place.keep()
        if not begun:
            begun = True
            end.ready()


def _set_up(context: dict[str, Any]) -> None:
    sys.path[:] = context["path"]
    sys.argv[:] = context["argv"]
    if context["folder"] is not None:
        # The parent may be in a folder that has been removed, or that this user may not enter any more.
        with contextlib.suppress(OSError):
            os.chdir(context["folder"])


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        # It was removed.
        return None


class _Place:
    """The working directory and the module path for the next call, whatever the last one has made of them."""

    def __init__(self) -> None:
        self.keep()

    def keep(self) -> None:
        """The present ones are the right ones."""
        self._list = sys.path
        self._path = list(sys.path)
        self._folder = _folder()

    def restore(self) -> None:
        """Goes back to them."""
        if sys.path is not self._list or sys.path != self._path:
            sys.path = self._list
            sys.path[:] = self._path
        if self._folder is not None and _folder() != self._folder:
            with contextlib.suppress(OSError):
                os.chdir(self._folder)


def _answer(
    end: Any, functions: dict[int, Any], number: int, fresh: Any, forget: list[int], body: Any
) -> None:
    """Runs one call and sends what comes of it."""
    unread = False
    function: Any = None
    try:
        for gone in forget:
            functions.pop(gone, None)
        if number == 0:
            function, args, kwargs = body.load()
        else:
            if fresh is not None:
                unread = True
                functions[number] = pickle.loads(fresh)
                unread = False
                del fresh
            function = functions[number]
            args, kwargs = body.load()
        value = function(*args, **(kwargs or {}))
        # Memory that belongs to the arguments alone goes back with the answer.
        del args, kwargs
        _flush()
        end.returned(value, function)
    except BaseException as error:
        from pantile import _pickling

        _flush()
        end.raised(_pickling.failure(_trimmed(error)), function, unread)


def _trimmed(error: BaseException) -> BaseException:
    """Without this module's own line at the top, as far as there is something below it."""
    trace = error.__traceback__
    if trace is not None and trace.tb_next is not None:
        # Past a `__setattr__` of its class, as of a frozen dataclass.
        return BaseException.with_traceback(error, trace.tb_next)
    return error


def _flush() -> None:
    """What a function has printed is seen before its caller goes on, and is not lost if the worker is killed later."""
    for stream in (sys.stdout, sys.stderr):
        # There may be none, or it is closed, or nobody reads it any more.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
