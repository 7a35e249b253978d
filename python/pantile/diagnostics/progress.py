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
from html import escape
from types import TracebackType
from typing import Any, TextIO

from pantile import _native
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


def in_notebook() -> bool:
    """Whether output goes to a notebook: IPython's shell is the one that talks to a front end."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class _Cell:
    """A bar in a notebook's cell: HTML that is displayed once and then updated, without widgets."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, share: float, words: str, ended: bool, failed: bool) -> None:
        from IPython.display import HTML, display

        colour = "#c4453b" if failed else "#2f8f6b" if ended else "#3b7dc4"
        html = HTML(
            f'<div role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{int(share * 100)}" '
            'style="display:flex;align-items:center;gap:.8em;font-family:monospace">'
            '<div style="width:20em;height:.9em;border-radius:.45em;background:#8883;overflow:hidden">'
            f'<div style="width:{share * 100:.1f}%;height:100%;background:{colour}"></div></div>'
            f"<span>{escape(words)}</span></div>"
        )
        if self._handle is None:
            self._handle = display(html, display_id=True)
        else:
            self._handle.update(html)


class _Run:
    """One run that is watched."""

    def __init__(self, progress: _native.Progress) -> None:
        self.progress = progress
        self.begin = time.perf_counter()
        self.stop = threading.Event()
        self.thread: threading.Thread | None = None
        self.cell: _Cell | None = None


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
        width: int = 40,
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
        self._number: int | None = None
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
        """Shows all runs from now on. To register twice changes nothing."""
        if self._number is None:
            self._number = _native.watch(self)

    def unregister(self) -> None:
        """Shows no more runs."""
        if self._number is not None:
            _native.unwatch(self._number)
            self._number = None

    @property
    def _stream(self) -> TextIO:
        return self._out or sys.stderr

    def _visible(self) -> bool:
        if self._force or (self._out is None and in_notebook()):
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
            if self._out is None and in_notebook():
                run.cell = _Cell()
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
                self._show(run, self.last_duration, True, error)

    def _watch(self, run: _Run) -> None:
        while not run.stop.wait(self._dt):
            elapsed = time.perf_counter() - run.begin
            if elapsed >= self._minimum:
                self._show(run, elapsed, False, None)

    def _show(self, run: _Run, elapsed: float, ended: bool, error: BaseException | None) -> None:
        share, words = self._state(run, elapsed, ended, error)
        if run.cell is not None:
            run.cell.show(share, words, ended, error is not None)
        else:
            full = int(share * self._width)
            bar = "█" * full + "░" * (self._width - full)
            self._write(f"{bar} {words}" + ("\n" if ended else ""))

    def _write(self, line: str) -> None:
        try:
            columns = shutil.get_terminal_size().columns if not self._force else 200
            end = "\n" if line.endswith("\n") else ""
            self._stream.write("\r\033[K" + line.rstrip("\n")[: columns - 1] + end)
            self._stream.flush()
        except (OSError, ValueError):
            # A closed terminal must not stop a computation.
            self._force, self._out = False, io.StringIO()

    def _state(
        self, run: _Run, elapsed: float, ended: bool, error: BaseException | None
    ) -> tuple[float, str]:
        p = run.progress
        done, tasks, count = p.done, p.tasks, p.bytes
        if ended and error is None:
            done = tasks = max(tasks, done)
        share = done / tasks if tasks else float(ended and error is None)
        # Rounded down: 100 % means that everything is done.
        parts = [f"{int(share * 100):3d}%", f"{done}/{tasks} tasks"]
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
        return share, " · ".join(parts)
