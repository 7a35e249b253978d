"""`report`: a page about the runs of a ``with`` block, in one file that needs nothing else.

This module gathers (`Report`), puts numbers into HTML and writes the file. What they mean is in `analysis` and
`advice`; how the page looks and moves is in ``report_page/``. Tables are plain HTML, so they can be read without
scripts; the columns of tasks travel as compressed binary arrays.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import stat
import sys
import time
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from pantile import _native
from pantile.config import format_bytes
from pantile.diagnostics.advice import advise
from pantile.diagnostics.analysis import KINDS, Analysis, analyse
from pantile.diagnostics.explanation import Explanation
from pantile.diagnostics.progress import duration

__all__ = ["Report", "report"]

_PAGE = Path(__file__).parent / "report_page"
_TITLES = {
    "compute": "computing",
    "io": "reading and writing files",
    "spill": "spilling",
    "gil": "waiting for the GIL",
    "compile": "compiling",
    "idle": "idle",
}
# Plans beyond this many different ones are counted, not shown.
_PLANS = 50


class Report:
    """Watches the runs of a ``with`` block and writes a page about them at its end. Made by `pantile.report`."""

    def __init__(self, path: str | os.PathLike[str], title: str | None, dt: float) -> None:
        # `Path` makes "." of an empty string.
        self._given = path
        self.path = Path(path)
        """Where the page is."""
        self.analysis: Analysis | None = None
        """The page's numbers, once it is written."""
        self._title = title
        self._dt = dt
        self._recorder = _native.Recorder()
        self._number: int | None = None
        self._sampler: _native.Sampler | None = None
        self._began = 0.0

    def __enter__(self) -> Report:
        if self._number is not None:
            raise RuntimeError("this report is being made already; use another one")
        check_writable(self._given)
        self._sampler = _native.Sampler(self._dt)
        self._began = time.perf_counter()
        self._number = _native.watch(self._recorder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._number is not None
        assert self._sampler is not None
        _native.unwatch(self._number)
        self._number = None
        block = round((time.perf_counter() - self._began) * 1e9)
        samples = self._sampler.stop()
        try:
            self.analysis = analyse(self._recorder.take(), self._began, block)
            title = self._title or f"Report on {Path(sys.argv[0]).name or 'a session'}"
            write_whole(self.path, page(self.analysis, samples, self._began, title, error))
        except Exception as e:
            # What the block raised matters more than the report on it.
            if error is None:
                raise
            error.add_note(f"the report {str(self.path)!r} could not be written: {e!r}")


def report(path: str | os.PathLike[str], *, title: str | None = None, dt: float = 0.05) -> Report:
    """A context manager that writes an HTML page about everything computed within it.

    The page shows each task by thread and time, memory and processor over time, where the threads' time went, a table
    of operations, the plans, and what stands out. It is one file, which loads nothing from elsewhere. It is also
    written if the block raises.

    Parameters
    ----------
    path : str or path-like
        The file. It is complete or untouched, and keeps its mode; what is no regular file, such as a pipe, is written
        to as it is. Whether it can be written is looked at when the block begins.
    title : str, optional
        What the page is called.
    dt : float
        Seconds between looks at memory and processor.

    Returns
    -------
    Report
        For ``with``. Afterwards its ``analysis`` has the numbers.

    Examples
    --------
    >>> import os, tempfile
    >>> import pantile
    >>> import pantile.array as da
    >>> path = os.path.join(tempfile.mkdtemp(), "run.html")
    >>> with pantile.report(path) as seen:
    ...     total = da.ones((1000, 1000), chunks=100).sum().compute()
    >>> seen.analysis.tasks == len(seen.analysis.runs[0].names)
    True
    """
    return Report(path, title, dt)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Fails if no file can be written there, as far as that can be told without writing."""
    if not os.fspath(path):
        raise ValueError("the path of the file is empty")
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{str(target)!r} is a folder; give the path of a file in it")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(target.parent)!r}")
    # A regular file is replaced, so it is its folder that is written to.
    place = target if target.exists() and not target.is_file() else target.parent
    if not os.access(place, os.W_OK):
        raise PermissionError(f"{str(place)!r} cannot be written to")


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Writes a file that is complete or untouched, where symbolic links lead to, with the mode it had.

    Pipes and devices are no files that could be replaced; they are written to.
    """
    check_writable(path)
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
        return
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(part, "x", encoding="utf-8") as file:
            if mode is not None:
                os.fchmod(file.fileno(), stat.S_IMODE(mode))
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        raise


# ---- the page -------------------------------------------------------------------------------------------------------


def page(
    a: Analysis,
    samples: Sequence[tuple[float, int, float]],
    zero: float,
    title: str,
    error: BaseException | None = None,
) -> str:
    """The whole page."""
    meta, arrays = stream(a)
    meta["samples"] = {
        "at": [max(0, round((at - zero) * 1e9)) for at, _, _ in samples],
        "bytes": [size for _, size, _ in samples],
        "cpu": [round(share, 4) for _, _, share in samples],
    }
    data = "".join(
        f'<script type="text/plain" id="data-{name}">{text}</script>' for name, text in arrays.items()
    )
    parts = {
        "title": escape(title),
        "style": (_PAGE / "page.css").read_text(encoding="utf-8"),
        "script": (_PAGE / "page.js").read_text(encoding="utf-8"),
        "when": escape(datetime.now().astimezone().strftime("%d %B %Y, %H:%M:%S")),
        "error": ""
        if error is None
        else f'<p class="error" role="alert">The block ended with {escape(type(error).__name__)}: '
        f"{escape(_short(str(error), 300))}</p>",
        "figures": _figures(a, samples),
        "advice": "".join(f"<li>{escape(text)}</li>" for text in advise(a)),
        "times": _times(a),
        "operations": _operations(a),
        "plans": _plans(a),
        # Inside a script element only a closing tag could end the data.
        "meta": json.dumps(meta, separators=(",", ":")).replace("<", "\\u003c"),
        "data": data,
    }
    out = (_PAGE / "page.html").read_text(encoding="utf-8")
    # One pass, so that no value is searched for placeholders.
    pieces = out.split("{{")
    return pieces[0] + "".join(
        parts[name] + rest for name, _, rest in (piece.partition("}}") for piece in pieces[1:])
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _seconds(ns: float) -> str:
    if ns == 0:
        return "0 s"
    if ns < 1e3:
        return f"{ns:.0f} ns"
    if ns < 1e6:
        return f"{ns / 1e3:.1f} µs"
    if ns < 1e9:
        return f"{ns / 1e6:.1f} ms"
    return duration(ns / 1e9) if ns >= 6e10 else f"{ns / 1e9:.2f} s"


def _figures(a: Analysis, samples: Sequence[tuple[float, int, float]]) -> str:
    peak = max((size for _, size, _ in samples), default=0)
    failed = sum(not r.ok for r in a.runs)
    figures = [
        ("computing for", _seconds(a.wall)),
        ("of", _seconds(a.block)),
        ("runs", f"{len(a.runs)}" + (f", {failed} failed" if failed else "")),
        ("tasks", f"{a.tasks:,}".replace(",", "\u202f")),
        ("threads", str(a.threads)),
        ("peak memory", format_bytes(peak)),
    ]
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in figures)


def _times(a: Analysis) -> str:
    shares = {kind: a.share(kind) for kind in KINDS}
    bar = "".join(
        f'<span class="kind {kind}" style="flex-grow:{shares[kind]:.6f}" title="{_TITLES[kind]}: '
        f'{100 * shares[kind]:.1f} %"></span>'
        for kind in KINDS
        if shares[kind] > 0
    )
    rows = "".join(
        f'<tr data-kind="{kind}"><th scope="row"><i class="kind {kind}"></i>{_TITLES[kind]}</th>'
        f'<td data-value="{a.times[kind]}">{_seconds(a.times[kind])}</td><td>{100 * shares[kind]:.1f} %</td></tr>'
        for kind in KINDS
    )
    product = f"{a.threads} × {_seconds(a.wall)}"
    what = product if a.threads * a.wall == a.capacity else "threads × time"
    return (
        f'<div class="stack" role="img" aria-label="where the time went; the table below has the numbers">{bar}</div>'
        f'<table class="times"><tbody>{rows}</tbody><tfoot><tr><th scope="row">all threads ({what})</th>'
        f'<td data-value="{a.capacity}">{_seconds(a.capacity)}</td><td>100 %</td></tr></tfoot></table>'
    )


def _operations(a: Analysis) -> str:
    head = (
        ("operation", "text"),
        ("tasks", "number"),
        ("total", "number"),
        ("mean", "number"),
        ("longest", "number"),
        ("bytes made", "number"),
        ("runs", "text"),
    )
    cells = "".join(
        f'<th scope="col" class="{kind}"><button type="button">{name}</button></th>' for name, kind in head
    )
    rows = []
    for number, op in enumerate(a.operations):
        values: list[tuple[float, str]] = [
            (op.count, str(op.count)),
            (op.total, _seconds(op.total)),
            (op.mean, _seconds(op.mean)),
            (op.longest, _seconds(op.longest)),
            (op.size, format_bytes(op.size)),
        ]
        numbers = "".join(
            f'<td class="number" data-value="{value:.0f}">{text}</td>' for value, text in values
        )
        rows.append(
            f'<tr><th scope="row"><i class="swatch" data-op="{number}"></i>{escape(_short(op.name, 120))}</th>{numbers}'
            f"<td>{'Python' if op.python else 'native'}</td></tr>"
        )
    return f'<table id="operations"><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _numbers(found: Iterable[int]) -> str:
    """Runs by their numbers, for people: "1 to 3, 7"."""
    spans: list[list[int]] = []
    for n in found:
        if spans and spans[-1][1] == n - 1:
            spans[-1][1] = n
        else:
            spans.append([n, n])
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in spans)


def _plans(a: Analysis) -> str:
    same: dict[str, list[int]] = {}
    for number, run in enumerate(a.runs, start=1):
        key = json.dumps([run.layers, run.threads], default=str)
        same.setdefault(key, []).append(number)
    out = []
    for numbers in list(same.values())[:_PLANS]:
        runs = [a.runs[n - 1] for n in numbers]
        first = runs[0]
        took = sum(r.wall for r in runs)
        words = f"{'Run' if len(runs) == 1 else 'Runs'} {_numbers(numbers)}: {first.planned} tasks on {first.threads} "
        words += "thread" if first.threads == 1 else "threads"
        words += f", {_seconds(took)}" + (" in all" if len(runs) > 1 else "")
        if first.nested:
            words += ", inside a task"
        failed = [name for r in runs for name, _ in r.failed]
        if not all(r.ok for r in runs):
            words += ", failed" + (f" in {', '.join(failed[:3])}" if failed else "")
        plan = Explanation({"layers": first.layers, "python": []})
        body = plan.table_html() if first.layers else ""
        is_open = " open" if len(same) == 1 else ""
        out.append(
            f"<details{is_open}><summary>{escape(words)}</summary><div class=scroll>{body}</div></details>"
        )
    if len(same) > _PLANS:
        out.append(f"<p>and {len(same) - _PLANS} other plans.</p>")
    return "".join(out)


# ---- the stream of tasks --------------------------------------------------------------------------------------------


def depths(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """How many tasks of the same thread each task is inside of; sorted by start."""
    out = np.zeros(len(start), np.int64)
    if not (start[1:] < np.maximum.accumulate(end)[:-1]).any():
        return out
    ends: list[int] = []
    for i, (begin, stop) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
        while ends and ends[-1] <= begin:
            ends.pop()
        out[i] = len(ends)
        ends.append(stop)
    return out


def stream(a: Analysis) -> tuple[dict[str, Any], dict[str, str]]:
    """What the page's script draws: a description, and columns with one entry a task, by row and time.

    Times are counted in ticks, so that they fit 32 bits: a tick is a nanosecond unless the block took more than four seconds.
    """
    tick = 1
    while a.block // tick >= 2**32 - 1:
        tick *= 10
    number = {op.name: i for i, op in enumerate(a.operations)}
    spilling = len(number)
    found: dict[str, list[np.ndarray]] = {}
    names: list[str] = []
    threads: dict[int, str] = {}
    for which, run in enumerate(a.runs):
        threads.update((thread, name) for thread, name, *_ in run.parts)
        c = run.columns
        ops = np.array([number[label] for label in run.labels], np.int64)
        columns = {
            "thread": c["thread"].astype(np.int64),
            "start": c["start"].astype(np.int64) + run.start,
            "end": c["end"].astype(np.int64) + run.start,
            "op": ops[c["op"]] if len(ops) else np.zeros(0, np.int64),
            "bytes": c["bytes"].astype(np.float64),
            "run": np.full(len(run.names), which),
            **{kind: c[kind].astype(np.int64) for kind in ("gil", "io", "compile", "spill")},
        }
        names += run.names
        if run.written:
            writes = np.array(run.written, np.int64)
            extra = {
                "thread": writes[:, 0],
                "start": writes[:, 1] + run.start,
                "end": writes[:, 2] + run.start,
                "op": np.full(len(writes), spilling),
                "bytes": writes[:, 3].astype(np.float64),
                "run": np.full(len(writes), which),
                **{kind: np.zeros(len(writes), np.int64) for kind in ("gil", "io", "compile")},
                "spill": writes[:, 2] - writes[:, 1],
            }
            columns = {name: np.concatenate([column, extra[name]]) for name, column in columns.items()}
            names += ["spilled value"] * len(writes)
            for thread in np.unique(writes[:, 0]).tolist():
                threads.setdefault(thread, f"thread {thread}")
        for name, column in columns.items():
            found.setdefault(name, []).append(column)
    table = {name: np.concatenate(columns) for name, columns in found.items()}
    count = len(names)
    if not count:
        table = {
            name: np.zeros(0, np.int64)
            for name in ("thread", "start", "end", "op", "bytes", "run", "gil", "io", "compile", "spill")
        }
    order = np.lexsort((-table["end"], table["start"], table["thread"]))
    depth = np.zeros(count, np.int64)
    for thread in threads:
        mine = order[table["thread"][order] == thread]
        depth[mine] = depths(table["start"][mine], table["end"][mine])
    lanes = sorted(threads, key=lambda t: _natural(threads[t]))
    place = {thread: i for i, thread in enumerate(lanes)}
    lane = np.array([place[t] for t in table["thread"].tolist()], np.int64)
    order = np.lexsort((table["start"], depth, lane))
    rows = []
    for i, thread in enumerate(lanes):
        for d in range(int(depth[lane == i].max(initial=0)) + 1):
            size = int(((lane == i) & (depth == d)).sum())
            rows.append({"lane": i, "name": threads[thread] if d == 0 else "", "depth": d, "count": size})
    start = table["start"][order] // tick
    types = dict.fromkeys(("gil", "io", "compile", "spill"), np.uint32)
    arrays = {
        "start": _packed(start.astype(np.uint32)),
        "length": _packed((table["end"][order] // tick - start).astype(np.uint32)),
        "op": _packed(table["op"][order].astype(np.uint32)),
        "run": _packed(table["run"][order].astype(np.uint32)),
        "bytes": _packed(table["bytes"][order].astype(np.float64)),
        **{name: _packed((table[name][order] // tick).astype(kind)) for name, kind in types.items()},
        "names": _packed("\n".join(" ".join(names[i].splitlines()) for i in order.tolist()).encode()),
    }
    meta = {
        "tick": tick,
        "block": a.block,
        "count": count,
        "rows": rows,
        "operations": [op.name for op in a.operations] + ["writing spilled values"],
        "runs": [[r.start, r.wall, r.ok] for r in a.runs],
        "threads": a.threads,
    }
    return meta, arrays


def _natural(name: str) -> tuple[bool, str, int]:
    """Sorts "main" first and "pantile-10" after "pantile-9"."""
    head, _, tail = name.rpartition("-")
    return (name != "main", head or name, int(tail) if tail.isdigit() else -1)


def _packed(data: np.ndarray | bytes) -> str:
    raw = data if isinstance(data, bytes) else data.astype(data.dtype.newbyteorder("<")).tobytes()
    return base64.b64encode(zlib.compress(raw, 6)).decode()
