"""What goes to worker processes and back, where plain pickle is not enough; and what a worker must know to begin.

The extension tries plain pickle first and comes here when that fails. For an ordinary call of a function of an importable
module, only `Context.now` runs.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

__all__ = ["Context", "RemoteTraceback", "command", "dumps", "failure", "portable", "rebuilt"]

# What another process has not got under that name; the second is the first in a child of multiprocessing.
_MAIN = ("__main__", "__mp_main__")


def name_of(function: Any) -> str:
    """What a function is called in messages."""
    function = getattr(function, "func", function)
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else f"an object of class {type(function).__qualname__}"


class _Looking(pickle.Pickler):
    """Plain pickle, which notices names that mean something else in another process."""

    main = ""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, (type, types.FunctionType)) and value.__module__ in _MAIN:
            self.main = f"{value.__module__}.{value.__qualname__}"
        return NotImplemented


def _by_value(value: Any, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
    """What cloudpickle makes of it."""
    import cloudpickle

    main = sys.modules.get("__mp_main__")
    # Of `__main__` it knows by itself. It looks modules up by their `__name__`.
    if main is not None and main.__name__ == "__mp_main__":
        cloudpickle.register_pickle_by_value(main)
    return cloudpickle.dumps(value, 5, buffer_callback=buffer_callback)


def portable(value: Any) -> bytes:
    """One string that any other process can read, by value only where names would not do."""
    try:
        data = pickle.dumps(value, 5)
    except Exception:
        try:
            return _by_value(value)
        except ImportError:
            pass
        # The reason why cloudpickle was wanted says more than that there is none.
        raise
    return _by_value(value) if b"_main__" in data else data


def dumps(value: Any, role: str, function: Any, buffer_callback: Callable[[Any], Any] | None) -> bytes:
    """Pickles by value what cannot be pickled by name; `role` is what the value is to the function."""
    whole = {
        "function": "",
        "arguments": "the arguments of ",
        "result": f"what was returned (of class {type(value).__qualname__}) by ",
        "exception": "the exception raised by ",
    }[role] + name_of(function)
    try:
        import cloudpickle  # noqa: F401
    except ImportError:
        file = io.BytesIO()
        plain = _Looking(file, 5, buffer_callback=buffer_callback)
        try:
            plain.dump(value)
        except Exception as error:
            reason = str(error)
        else:
            if not plain.main:
                return file.getvalue()
            reason = f"it uses {plain.main}, which a worker process does not have"
        raise pickle.PicklingError(
            f"cannot send {whole} between processes: {reason}. Install cloudpickle "
            "(pip install 'pantile[processes]'), with which functions and classes defined in __main__, lambdas and "
            "closures can be sent; or move what is sent to the top level of a module that can be imported"
        ) from None
    try:
        return _by_value(value, buffer_callback)
    except Exception as error:
        raise pickle.PicklingError(f"cannot send {whole} between processes: {error}") from error


class RemoteTraceback(Exception):
    """The cause of an exception that was raised in a worker process: the traceback there, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class RemoteError(RuntimeError):
    """Stands for an exception that could not be sent from a worker process."""


def _sendable(error: BaseException) -> BaseException:
    """The exception, or one that says what it was, if the parent could not rebuild it."""
    try:
        if type(pickle.loads(portable(error))) is type(error):
            return error
        reason = "it comes back as another class"
    except Exception as problem:
        reason = f"{type(problem).__qualname__}: {problem}"
    kind = type(error)
    try:
        text = str(error)
    except Exception as problem:
        text = f"<its text cannot be made: {type(problem).__qualname__}>"
    return RemoteError(
        f"{kind.__module__}.{kind.__qualname__}: {text}\n(The exception itself cannot be sent between processes: {reason})"
    )


def failure(error: BaseException) -> tuple[list[BaseException], str]:
    """In a worker: the exception with its explicit causes, and its traceback as text."""
    import traceback

    text = "".join(traceback.format_exception(error))
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and len(chain) < 100 and not any(link is other for other in chain):
        chain.append(link)
        link = link.__cause__
    return [_sendable(link) for link in chain], text


def rebuilt(sent: tuple[list[BaseException], str]) -> BaseException:
    """In the parent: the exception as it was, with the worker's traceback as the last of its causes."""
    chain, text = sent
    for above, below in zip(chain, [*chain[1:], RemoteTraceback(text)], strict=True):
        # Past a `__setattr__` of its class, as of a frozen dataclass.
        BaseException.__setattr__(above, "__cause__", below)
    return chain[0]


class Context:
    """What a worker must know of this process before it can import what functions need.

    Warm workers are told again when it changes.
    """

    def __init__(self) -> None:
        self._number = 0
        self._path: list[str] = []
        self._folder: str | None = None
        self._setup = b""

    def now(self) -> tuple[int, bytes]:
        """The number of the present version, and its pickle."""
        try:
            folder = os.getcwd()
        except OSError:
            # It was removed; then workers stay where they are.
            folder = None
        if self._number == 0 or self._path != sys.path or self._folder != folder:
            self._path, self._folder = list(sys.path), folder
            # "" means the working directory, wherever that will be; other entries may be relative to the present one.
            path = [p if not isinstance(p, str) or p == "" else os.path.abspath(p) for p in self._path]
            self._setup = pickle.dumps({"path": path, "folder": folder, "argv": list(sys.argv)}, 5)
            self._number += 1
        return self._number, self._setup


_FLAGS = {
    "dont_write_bytecode": "-B",
    "no_user_site": "-s",
    "no_site": "-S",
    "ignore_environment": "-E",
    "bytes_warning": "-b",
}


def command() -> tuple[str, list[str]]:
    """The program of a worker and its arguments: this interpreter, with its options."""
    if not sys.executable:
        raise RuntimeError(
            "sys.executable is empty, so worker processes cannot be started; set it to a Python interpreter"
        )
    options = [option for name, option in _FLAGS.items() if getattr(sys.flags, name)]
    options += ["-O"] * sys.flags.optimize
    options += [f"-W{option}" for option in sys.warnoptions]
    options += [
        "-X" + (name if value is True else f"{name}={value}") for name, value in sys._xoptions.items()
    ]
    # This package and no other of its name, wherever it was found. The worker's path is replaced by this process' at once.
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    code = (
        f"import sys; sys.path.insert(0, {folder!r}); from pantile._worker import main; main({os.getpid()})"
    )
    return sys.executable, [*options, "-P", "-c", code]
