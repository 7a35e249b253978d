"""`Executor`: the interface of `concurrent.futures` on Pantile's worker processes, or on threads.

A `processes` executor differs from `concurrent.futures.ProcessPoolExecutor` in what it costs and in what it can take. Its
workers are the process' own, started once and shared by all executors. NumPy arrays go through shared memory. Lambdas,
closures and what is defined in ``__main__`` can be sent if cloudpickle is installed, and no ``if __name__ == "__main__"`` is
needed. A worker that dies fails its own call (`WorkerDiedError`) and no other.

A `threads` executor has threads of its own, not the engine's: a function that waits for another future of its executor would
hold a thread that arrays need, and with enough of them nothing would go on.
"""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from pantile import _native, config
from pantile._native import WorkerDiedError

__all__ = ["Executor", "WorkerDiedError"]

T = TypeVar("T")


class _Processes:
    """How the threads of an executor call workers. Knows nothing of the executor, which may be collected meanwhile."""

    def __init__(self, most: int, pool: _native.WorkerPool | None) -> None:
        self.most = most
        self.pool = pool
        self.stop = _native.StopFlag()

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any, once: Any = None) -> Any:
        return _native.call_in_process(function, args, kwargs or None, self.most, self.pool, once, self.stop)


class _Once:
    """A function that is called many times and pickled once: that of a `map`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.pickles = _native.Functions()


def _call_chunk(function: Callable[..., T], chunk: list[tuple[Any, ...]]) -> list[T]:
    return [function(*args) for args in chunk]


def _chunks(rows: Iterator[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    while chunk := list(itertools.islice(rows, size)):
        yield chunk


def _flat(chunks: Iterator[list[T]]) -> Iterator[T]:
    # Results are not held here once they are given out.
    for chunk in chunks:
        chunk.reverse()
        while chunk:
            yield chunk.pop()


class Executor(concurrent.futures.ThreadPoolExecutor):
    """Runs functions in worker processes or on threads, as `concurrent.futures.Executor` has it.

    Parameters
    ----------
    max_workers : int, optional
        How many functions run at the same time; by default the setting ``num_threads``.
    kind : {"threads", "processes"}
        Where functions run. ``"processes"`` for Python code that holds the interpreter's lock.
    thread_name_prefix : str
        For the names of the threads, which a ``"processes"`` executor has as well: they wait for its workers.
    initializer : callable, optional
        Called once on each thread, or in each worker process, which are the executor's own then and end with it.
    initargs : tuple
        The initializer's arguments.

    Raises
    ------
    ValueError
        `max_workers` is not above zero, or there is no such kind.

    Notes
    -----
    Functions and arguments for worker processes are pickled when their turn comes. `map` pickles its function once. What
    a function changes in its own closure or in its module's variables stays in the worker process.

    A worker has the environment variables of the time at which it was started; the working directory and ``sys.path`` are
    those of the call. What a function changes of these two ends with its call; what the initializer changes stays.
    Libraries in a worker compute on one thread, unless ``OMP_NUM_THREADS`` and its like say otherwise.

    Leaving a ``with`` block through `KeyboardInterrupt` cancels what has not begun and ends the workers that are at it.

    Within a worker process, a ``"processes"`` executor runs functions on its threads.

    Examples
    --------
    >>> import math
    >>> from pantile.futures import Executor
    >>> with Executor(2, kind="processes") as executor:
    ...     list(executor.map(math.factorial, range(6), chunksize=3))
    [1, 1, 2, 6, 24, 120]
    """

    def __init__(
        self,
        max_workers: int | None = None,
        kind: str = "threads",
        *,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        if kind not in ("threads", "processes"):
            raise ValueError(f"{kind!r} is no kind of executor; choose 'threads' or 'processes'")
        if max_workers is None:
            max_workers = config.get("num_threads")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._processes: _Processes | None = None
        if kind == "processes" and max_workers > 0:
            pool = None
            if initializer is not None:
                pool = _native.WorkerPool(initializer, tuple(initargs))
                # Run by each thread before its first call. If it raises, the executor is broken.
                initializer, initargs = functools.partial(pool.prepare, max_workers), ()
            self._processes = _Processes(max_workers, pool)
        super().__init__(max_workers, thread_name_prefix, initializer, initargs)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        """Schedules a call.

        Parameters
        ----------
        fn : callable
            What to call.
        *args, **kwargs
            Its arguments.

        Returns
        -------
        concurrent.futures.Future
            Where its result will be.

        Raises
        ------
        RuntimeError
            The executor, or the interpreter, is shutting down.

        Examples
        --------
        >>> from pantile.futures import Executor
        >>> with Executor(2) as executor:
        ...     executor.submit(pow, 2, 5).result()
        32
        """
        if self._processes is None:
            return super().submit(fn, *args, **kwargs)
        if isinstance(fn, _Once):
            return super().submit(self._processes.call, fn.function, args, kwargs, fn.pickles)
        return super().submit(self._processes.call, fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[T]:
        """Calls a function for each row of some iterables; results come in the same order.

        Parameters
        ----------
        fn : callable
            What to call.
        *iterables
            One for each argument; the shortest says how many calls there are. They are read at once.
        timeout : float, optional
            Seconds, from now, within which each result must be there when it is asked for.
        chunksize : int
            How many calls go to a worker process together. For threads it means nothing.

        Returns
        -------
        iterator
            The results.

        Raises
        ------
        ValueError
            `chunksize` is below one.

        Examples
        --------
        >>> from pantile.futures import Executor
        >>> with Executor(2) as executor:
        ...     list(executor.map(pow, [1, 2, 3], [2, 2, 2]))
        [1, 4, 9]
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1")
        if self._processes is None:
            return super().map(fn, *iterables, timeout=timeout)
        if chunksize == 1:
            return super().map(_Once(fn), *iterables, timeout=timeout)  # type: ignore[arg-type]
        chunks = _chunks(zip(*iterables, strict=False), chunksize)
        call: Any = _Once(_call_chunk)
        return _flat(super().map(call, itertools.repeat(fn), chunks, timeout=timeout))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.stop()
        return super().__exit__(kind, error, trace)

    def stop(self) -> None:
        """Shuts down at once: cancels calls that have not begun, and ends the worker processes that run others.

        Calls that are running on threads cannot be ended; nobody waits for them here.

        Examples
        --------
        >>> import time
        >>> from pantile.futures import Executor
        >>> executor = Executor(1, kind="processes")
        >>> call = executor.submit(time.sleep, 3600)
        >>> executor.stop()
        """
        if self._processes is not None:
            self._processes.stop.set()
        self.shutdown(wait=False, cancel_futures=True)
