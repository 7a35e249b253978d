"""`Profiler`, `ResourceProfiler`, `CacheProfiler`: which task ran when, what the process used, how long values were kept.

The names and what they collect are Dask's. The engine writes the logs without Python, so that watching costs a task
about a tenth of a microsecond; they become tuples when ``results`` is read. How they look is in `reporting`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from html import escape
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from pantile import _native
from pantile.diagnostics.callbacks import Callback

__all__ = [
    "CacheData",
    "CacheProfiler",
    "Profiler",
    "ResourceData",
    "ResourceProfiler",
    "TaskData",
]

P = TypeVar("P", bound="_Recording")


class TaskData(NamedTuple):
    """A task that ran. Times are those of `time.perf_counter`, in seconds."""

    key: str
    task: str
    start_time: float
    end_time: float
    worker_id: int


class ResourceData(NamedTuple):
    """What this process and its children used: megabytes of memory, and the processor in percent of one."""

    time: float
    mem: float
    cpu: float


class CacheData(NamedTuple):
    """A value that was kept from one time to another."""

    key: str
    task: str
    metric: float
    cache_time: float
    free_time: float


class _Watching(Callback):
    """A ``with`` block that remembers when it began and ended."""

    start_time: float | None = None
    end_time: float | None = None

    def __enter__(self):
        self.clear()
        self.start_time = time.perf_counter()
        self.register()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unregister()
        self.end_time = time.perf_counter()

    def clear(self) -> None:
        """Forgets everything."""
        self.start_time = self.end_time = None

    def _repr_html_(self) -> str:
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes what was seen as an HTML page that needs nothing else.

        Parameters
        ----------
        path : str or path-like
            The file. It is complete or untouched.
        """
        from pantile.diagnostics.reporting import write_whole

        title = escape(type(self).__name__)
        body = self._repr_html_()
        style = "body{font:14px system-ui,sans-serif;margin:2rem;color-scheme:light dark}"
        write_whole(
            path,
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"<style>{style}</style></head><body><h1>{title}</h1>{body}</body></html>",
        )


class _Recording(_Watching):
    """What is read from the logs of runs."""

    def __init__(self) -> None:
        super().__init__()
        self._recorder = _native.Recorder()
        self._number: int | None = None
        self._results: list[Any] = []

    def register(self) -> None:
        """Records every run from now on. To register twice changes nothing."""
        if self._number is None:
            self._number = _native.watch(self._recorder)

    def unregister(self) -> None:
        """Records no more.

        Raises
        ------
        KeyError
            When it is not registered.
        """
        if self._number is None:
            raise KeyError(f"{self!r} is not registered")
        _native.unwatch(self._number)
        self._number = None

    def clear(self) -> None:
        """Forgets everything that was recorded."""
        super().clear()
        self._recorder.take()
        self._results = []

    @property
    def results(self) -> list[Any]:
        """What was recorded, run after run."""
        for run in self._recorder.take():
            self._results.extend(self._rows(run))
        return self._results

    def _rows(self, run: _native.RecordedRun) -> list[Any]:
        raise NotImplementedError


def columns(run: _native.RecordedRun) -> dict[str, np.ndarray]:
    """The columns of a run as arrays."""
    small = ("task", "layer", "index", "worker", "thread")
    return {
        name: np.frombuffer(data, np.uint32 if name in small else np.uint64)
        for name, data in run.columns().items()
    }


def operations(run: _native.RecordedRun) -> tuple[list[str], np.ndarray]:
    """The operations of a run, and which of them each task was."""
    names, which = run.operations()
    return names, np.frombuffer(which, np.uint32)


class Profiler(_Recording):
    """Records when each task began and ended, and where.

    Attributes
    ----------
    results : list of TaskData
        Named tuples with `key` (the task's name), `task` (its operation), `start_time` and `end_time` (seconds, as
        `time.perf_counter` counts them) and `worker_id` (a number that the thread keeps for its life).

    Examples
    --------
    >>> import pantile.array as da
    >>> from pantile.diagnostics import Profiler
    >>> with Profiler() as prof:
    ...     _ = da.from_array([1.0, 2.0, 3.0, 4.0], chunks=2).sum().compute()
    >>> first = prof.results[0]
    >>> first.task, prof.start_time <= first.start_time <= first.end_time <= prof.end_time
    ('sum', True)
    """

    results: list[TaskData]

    def _rows(self, run: _native.RecordedRun) -> list[TaskData]:
        c = columns(run)
        labels, which = operations(run)
        began = run.began
        return [
            TaskData(key, labels[op], began + start * 1e-9, began + end * 1e-9, thread)
            for key, op, start, end, thread in zip(
                run.names(),
                which.tolist(),
                c["start"].tolist(),
                c["end"].tolist(),
                c["thread"].tolist(),
                strict=True,
            )
        ]

    def _repr_html_(self) -> str:
        rows: dict[str, list[float]] = {}
        for r in self.results:
            rows.setdefault(r.task, []).append(r.end_time - r.start_time)
        body = [
            (name, str(len(s)), f"{sum(s):.4g} s", f"{sum(s) / len(s):.3g} s", f"{max(s):.3g} s")
            for name, s in sorted(rows.items(), key=lambda item: -sum(item[1]))
        ]
        return _table(("operation", "tasks", "total", "mean", "longest"), body)


class ResourceProfiler(_Watching):
    """Records the memory and the processor time of this process and its children.

    A thread of the engine looks, without the GIL, also while nothing is computed if used in a ``with`` block, and
    only during runs if registered.

    Parameters
    ----------
    dt : float
        Seconds between looks.

    Attributes
    ----------
    results : list of ResourceData
        Named tuples with `time` (seconds, as `time.perf_counter` counts them), `mem` (megabytes) and `cpu` (percent
        of one processor, since the look before).

    Examples
    --------
    >>> from pantile.diagnostics import ResourceProfiler
    >>> with ResourceProfiler(dt=0.5) as used:
    ...     pass
    >>> used.results[0].mem > 1
    True
    """

    def __init__(self, dt: float = 1) -> None:
        super().__init__()
        if not dt > 0:
            raise ValueError(f"dt must be a positive number of seconds, not {dt!r}")
        self._dt = float(dt)
        self._entered = False
        self._runs = 0
        self._sampler: _native.Sampler | None = None
        self._results: list[ResourceData] = []

    @property
    def results(self) -> list[ResourceData]:
        """What was seen."""
        seen = self._sampler.samples() if self._sampler is not None else []
        return self._results + _resources(seen)

    def _begin(self) -> None:
        if self._sampler is None:
            self._sampler = _native.Sampler(self._dt)

    def close(self) -> None:
        """Stops looking."""
        if self._sampler is not None:
            sampler, self._sampler = self._sampler, None
            self._results.extend(_resources(sampler.stop()))

    def __enter__(self):
        # Nothing has to be told of runs: it looks all the time.
        self.clear()
        self._entered = True
        self.start_time = time.perf_counter()
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        self.close()
        self.end_time = time.perf_counter()

    def _start(self, graph: Any) -> None:
        self._runs += 1
        self._begin()

    def _finish(self, graph: Any, state: Any, failed: bool) -> None:
        self._runs -= 1
        if not self._entered and self._runs == 0:
            self.close()

    def clear(self) -> None:
        """Forgets what was seen."""
        super().clear()
        self.close()
        self._results = []

    def _repr_html_(self) -> str:
        rows = [(f"{r.time:.3f} s", f"{r.mem:.1f} MB", f"{r.cpu:.0f} %") for r in self.results]
        return _table(("time", "memory", "processor"), rows)


def _resources(samples: list[tuple[float, int, float]]) -> list[ResourceData]:
    return [ResourceData(at, size / 1e6, share * 100) for at, size, share in samples]


class CacheProfiler(_Recording):
    """Records how long the value of each task was kept: until the last task that needed it had ended.

    Parameters
    ----------
    metric : function of a value, or "bytes", optional
        What a value counts for. ``"bytes"`` is its size as the engine knows it, at no cost; a function is called for
        each value, under the GIL. Without it each value counts one.
    metric_name : str, optional
        What that is called; the function's name by default.

    Attributes
    ----------
    results : list of CacheData
        Named tuples with `key`, `task`, `metric`, `cache_time` (when the value was made) and `free_time`.

    Examples
    --------
    >>> import pantile.array as da
    >>> from pantile.diagnostics import CacheProfiler
    >>> with CacheProfiler(metric="bytes") as kept:
    ...     _ = da.from_array([1.0, 2.0, 3.0, 4.0], chunks=2).sum().compute()
    >>> all(r.cache_time <= r.free_time for r in kept.results)
    True
    """

    results: list[CacheData]

    def __init__(
        self, metric: Callable[[Any], float] | str | None = None, metric_name: str | None = None
    ) -> None:
        super().__init__()
        if not (metric is None or metric == "bytes" or callable(metric)):
            raise TypeError(f'metric must be a function or "bytes", not {metric!r}')
        self._metric = metric
        default = "count" if metric is None else metric if isinstance(metric, str) else metric.__name__
        self._metric_name = metric_name or default
        # By run and key, as names are unique within a run only.
        self._metrics: dict[int, dict[str, float]] = {}
        self._finished: list[dict[str, float]] = []
        self._calls: Callback | None = None

    def register(self) -> None:
        """Records every run from now on. To register twice changes nothing."""
        super().register()
        if callable(self._metric) and self._calls is None:
            self._calls = Callback(posttask=self._measure, finish=self._collect)
            self._calls.register()

    def unregister(self) -> None:
        """Records no more.

        Raises
        ------
        KeyError
            When it is not registered.
        """
        super().unregister()
        if self._calls is not None:
            self._calls.unregister()
            self._calls = None

    def clear(self) -> None:
        """Forgets everything that was recorded."""
        super().clear()
        self._metrics.clear()
        self._finished.clear()

    def _measure(self, key: str, value: Any, graph: Any, state: Any, worker_id: int) -> None:
        assert callable(self._metric)
        self._metrics.setdefault(id(graph), {})[key] = self._metric(value)

    def _collect(self, graph: Any, state: Any, failed: bool) -> None:
        self._finished.append(self._metrics.pop(id(graph), {}))

    def _rows(self, run: _native.RecordedRun) -> list[CacheData]:
        if run.nested and callable(self._metric):
            # Callbacks do not hear of a run inside a task, so nothing was measured.
            return []
        c = columns(run)
        labels, which = operations(run)
        names = run.names()
        measured = c["bytes"].tolist() if self._metric == "bytes" else [1] * len(names)
        if callable(self._metric):
            found = next((m for m in self._finished if m.keys() >= set(names)), {})
            if found in self._finished:
                self._finished.remove(found)
            measured = [found.get(name, 0) for name in names]
        began = run.began
        rows = [
            CacheData(name, labels[op], metric, began + end * 1e-9, began + free * 1e-9)
            for name, op, metric, end, free in zip(
                names, which.tolist(), measured, c["end"].tolist(), c["released"].tolist(), strict=True
            )
        ]
        return sorted(rows, key=lambda row: row.free_time)

    def _repr_html_(self) -> str:
        rows = [
            (r.task, r.key, f"{r.metric:g}", f"{(r.free_time - r.cache_time) * 1e3:.3f} ms")
            for r in sorted(self.results, key=lambda r: -r.metric * (r.free_time - r.cache_time))[:50]
        ]
        return _table(("operation", "task", self._metric_name, "kept"), rows)


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
