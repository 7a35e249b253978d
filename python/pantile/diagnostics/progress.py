"""The progress bar.

The engine's threads count tasks and bytes without the GIL; a thread of this module looks at the counters a few times a second
and writes one line. Where output is not a terminal nothing is written, so that logs stay clean.
"""

from __future__ import annotations

import io
import shutil
import sys
import threading
import time
from types import TracebackType
from typing import TextIO

from pantile import _native, _run
from pantile.config import format_bytes

__all__ = ["ProgressBar"]


def duration(seconds: float) -> str:
    """A duration for people.

    Examples
    --------
    >>> duration(0.05), duration(7.25), duration(125), duration(7300)
    ('50 ms', '7.2 s', '2 min 05 s', '2 h 01 min')
    """
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02d} min"


class _Run:
    """One run that is watched."""

    def __init__(self, progress: _native.Progress) -> None:
        self.progress = progress
        self.begin = time.perf_counter()
        self.stop = threading.Event()
        self.thread: threading.Thread | None = None


class ProgressBar:
    """Shows the progress of every run within a ``with`` block.

    Parameters
    ----------
    minimum : float
        Seconds before a line appears: shorter runs show nothing.
    width : int
        Characters of the bar.
    dt : float
        Seconds between updates.
    out : file, optional
        Where to write; the standard error by default.
    force : bool
        Whether to write even if `out` is no terminal.

    Examples
    --------
    >>> import io
    >>> import pantile.array as da
    >>> from pantile.diagnostics import ProgressBar
    >>> screen = io.StringIO()
    >>> with ProgressBar(out=screen, force=True):
    ...     _ = da.ones(10, chunks=5).sum().compute()
    >>> "100%" in screen.getvalue()
    True
    """

    def __init__(
        self,
        minimum: float = 0,
        width: int = 30,
        dt: float = 0.1,
        out: TextIO | None = None,
        force: bool = False,
    ) -> None:
        self._minimum = minimum
        self._width = width
        self._dt = dt
        self._out = out
        self._force = force
        self._runs: dict[int, _Run] = {}
        self.last_duration: float | None = None
        """Seconds that the last run took."""

    def __enter__(self) -> ProgressBar:
        self.register()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unregister()

    def register(self) -> None:
        """Shows all runs from now on."""
        _run.watchers.append(self)

    def unregister(self) -> None:
        """Shows no more runs."""
        if self in _run.watchers:
            _run.watchers.remove(self)

    @property
    def _stream(self) -> TextIO:
        return self._out or sys.stderr

    def _visible(self) -> bool:
        if self._force:
            return True
        try:
            return self._stream.isatty()
        except (AttributeError, ValueError):
            return False

    def begin(self) -> _native.Progress:
        """A run begins."""
        progress = _native.Progress()
        run = _Run(progress)
        self._runs[id(progress)] = run
        if self._visible():
            run.thread = threading.Thread(
                target=self._watch, args=(run,), name="pantile-progress", daemon=True
            )
            run.thread.start()
        return progress

    def end(self, progress: _native.Progress, error: BaseException | None) -> None:
        """A run has ended."""
        run = self._runs.pop(id(progress))
        self.last_duration = time.perf_counter() - run.begin
        run.stop.set()
        if run.thread is not None:
            run.thread.join()
            if self.last_duration >= self._minimum:
                self._write(self._line(run, self.last_duration, True, error) + "\n")

    def _watch(self, run: _Run) -> None:
        while not run.stop.wait(self._dt):
            elapsed = time.perf_counter() - run.begin
            if elapsed >= self._minimum:
                self._write(self._line(run, elapsed, False, None))

    def _write(self, line: str) -> None:
        try:
            columns = shutil.get_terminal_size().columns if not self._force else 200
            end = "\n" if line.endswith("\n") else ""
            self._stream.write("\r\033[K" + line.rstrip("\n")[: columns - 1] + end)
            self._stream.flush()
        except (OSError, ValueError):
            # A closed terminal must not stop a computation.
            self._force, self._out = False, io.StringIO()

    def _line(self, run: _Run, elapsed: float, ended: bool, error: BaseException | None) -> str:
        p = run.progress
        done, tasks, count = p.done, p.tasks, p.bytes
        if ended and error is None:
            done = tasks = max(tasks, done)
        share = done / tasks if tasks else float(ended and error is None)
        full = int(share * self._width)
        bar = "█" * full + "░" * (self._width - full)
        # Rounded down: 100 % means that everything is done.
        parts = [f"{bar} {int(share * 100):3d}%", f"{done}/{tasks} tasks"]
        if elapsed > 0:
            if count:
                parts.append(f"{format_bytes(count)} read, {format_bytes(count / elapsed)}/s")
            else:
                parts.append(f"{done / elapsed:.3g} tasks/s")
        if error is not None:
            parts.append(f"{type(error).__name__} after {duration(elapsed)}")
        elif ended:
            parts.append(f"{duration(elapsed)} in all")
        else:
            parts.append(
                f"{duration(elapsed)}"
                + (f", {duration(elapsed / share - elapsed)} left" if share > 0.01 else "")
            )
            running = p.running
            if running:
                parts.append(", ".join(list(dict.fromkeys(running))[:3]))
        return " · ".join(parts)
