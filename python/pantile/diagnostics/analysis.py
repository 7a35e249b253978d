"""What recorded runs come to: where the threads' time went, what each operation took.

Only numbers: `advice` judges them, `reporting` shows them.

All times are nanoseconds, counted from the beginning of what is reported on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pantile import _native
from pantile.diagnostics.profile import columns, operations

__all__ = ["KINDS", "Analysis", "Operation", "Run", "analyse"]

# In the order in which they are stacked. Together they are the time that the threads had.
KINDS = ("compute", "io", "spill", "gil", "compile", "idle")
_WAITS = ("io", "spill", "gil", "compile")


@dataclass
class Run:
    """One run, with its tasks as columns."""

    start: int
    wall: int
    ok: bool
    threads: int
    nested: bool
    planned: int
    layers: list[dict[str, Any]]
    failed: list[tuple[str, int]]
    names: list[str]
    labels: list[str]
    columns: dict[str, np.ndarray]
    """As the engine wrote them, and ``op``: indices into `labels`. Times count from the beginning of the run."""
    written: list[tuple[int, int, int, int]]
    spills: list[tuple[int, int, bool, int]]
    parts: list[tuple[int, str, int, int | None, int | None]]


@dataclass
class Operation:
    """All tasks of one name."""

    name: str
    python: bool
    count: int = 0
    total: int = 0
    longest: int = 0
    size: int = 0
    waits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_WAITS, 0))

    @property
    def mean(self) -> float:
        """Nanoseconds that a task took."""
        return self.total / self.count if self.count else 0.0


@dataclass
class Analysis:
    """What runs come to."""

    runs: list[Run]
    block: int
    """How long everything took, with what lies between runs."""
    wall: int
    """How long something ran."""
    threads: int
    """The most threads that could run tasks at once."""
    capacity: int
    """The time that these threads had: threads × wall where their number did not change."""
    times: dict[str, int]
    """Where it went, by `KINDS`. The sum is `capacity`."""
    queued: int
    """Of the time in tasks, what threads waited for a processor, as the kernel counts it."""
    operations: list[Operation]
    spilled: int
    restored: int

    @property
    def tasks(self) -> int:
        """Tasks that ended."""
        return sum(len(r.names) for r in self.runs)

    @property
    def busy(self) -> int:
        """Time in tasks, and in writing what is spilled."""
        return self.capacity - self.times["idle"]

    def share(self, kind: str) -> float:
        """The part of the threads' time that was of this kind."""
        return self.times[kind] / self.capacity if self.capacity else 0.0


def read(run: _native.RecordedRun, zero: float) -> Run:
    """A run as the engine recorded it; `zero` is where time begins, on `time.perf_counter`'s clock."""
    found = columns(run)
    labels, which = operations(run)
    found["op"] = which
    return Run(
        start=max(0, round((run.began - zero) * 1e9)),
        wall=run.wall_ns,
        ok=run.ok,
        threads=run.threads,
        nested=run.nested,
        planned=run.tasks,
        layers=run.layers,
        failed=run.failed,
        names=run.names(),
        labels=labels,
        columns=found,
        written=run.written,
        spills=run.spills,
        parts=run.parts,
    )


def own_time(run: Run) -> np.ndarray:
    """What each task took, without the tasks that ran inside it."""
    c = run.columns
    took = c["end"].astype(np.int64) - c["start"].astype(np.int64)
    return np.maximum(took - c["inner"].astype(np.int64), 0)


def capacity(runs: Sequence[Run]) -> tuple[int, int, int]:
    """How long something ran, the most threads, and the time that they had.

    Runs at the same time share the pool, so the larger number of threads counts; runs on their calling thread alone add
    one each. A run inside a task has the thread of that task.
    """
    changes: list[tuple[int, int, Run]] = []
    for r in runs:
        if not r.nested:
            changes += [(r.start, 1, r), (r.start + r.wall, 0, r)]
    changes.sort(key=lambda change: change[:2])
    active: list[Run] = []
    wall = most = had = last = 0
    for at, begins, r in changes:
        if active:
            threads = max((a.threads for a in active if a.threads > 1), default=0)
            threads += sum(a.threads == 1 for a in active)
            wall += at - last
            had += threads * (at - last)
            most = max(most, threads)
        last = at
        if begins:
            active.append(r)
        else:
            active.remove(r)
    return wall, most, had


def python_waits(run: Run) -> dict[int, int]:
    """For each thread of a run, how long Python functions waited for the GIL inside, estimated.

    Entering Python is measured. A function that gives the GIL up and takes it back waits where nobody can look; what
    can be seen is that its thread was neither on a processor nor waiting for one. That time counts as waiting for the
    GIL as far as other threads' functions were running meanwhile: a function that sleeps alone does not.
    """
    if run.nested or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return {}
    c = run.columns
    python = np.array([layer["python"] for layer in run.layers], bool)
    if not python.any() or not len(run.names):
        return {}
    in_python = python[c["layer"]]
    took = own_time(run)
    waits = {kind: c[kind].astype(np.int64) for kind in _WAITS}
    blocked: dict[int, int] = {}
    ran: dict[int, int] = {}
    for thread, _, first, on, queued in run.parts:
        if on is None or queued is None:
            return {}
        mine = c["thread"] == thread
        waited = sum(int(waits[kind][mine].sum()) for kind in ("io", "spill", "gil"))
        functions = int(took[mine & in_python].sum())
        functions -= sum(int(w[mine & in_python].sum()) for w in waits.values())
        idle = run.wall - first - int(took[mine].sum())
        unseen = (run.wall - first - on - queued) - idle - waited
        blocked[thread] = min(max(unseen, 0), max(functions, 0))
        ran[thread] = min(on, max(functions, 0) - blocked[thread])
    everyone = sum(ran.values())
    return {thread: min(unseen, everyone - ran[thread]) for thread, unseen in blocked.items()}


def analyse(recorded: Sequence[_native.RecordedRun], zero: float, block: int) -> Analysis:
    """What runs come to, that were recorded in `block` nanoseconds from `zero` on."""
    runs = sorted((read(r, zero) for r in recorded), key=lambda r: r.start)
    wall, threads, had = capacity(runs)
    times = dict.fromkeys(KINDS, 0)
    found: dict[str, Operation] = {}
    queued = 0
    for run in runs:
        c = run.columns
        took = own_time(run)
        times["compute"] += int(took.sum())
        for kind in _WAITS:
            spent = int(c[kind].sum())
            times[kind] += spent
            times["compute"] -= spent
        times["spill"] += sum(end - start for _, start, end, _ in run.written)
        python = np.array([layer["python"] for layer in run.layers], bool)
        for number, label in enumerate(run.labels):
            mine = c["op"] == number
            op = found.setdefault(label, Operation(label, bool(python[c["layer"][mine]].any())))
            op.count += int(mine.sum())
            op.total += int(took[mine].sum())
            op.longest = max(op.longest, int(took[mine].max()))
            op.size += int(c["bytes"][mine].sum())
            for kind in _WAITS:
                op.waits[kind] += int(c[kind][mine].sum())
        for thread, waited in python_waits(run).items():
            times["gil"] += waited
            times["compute"] -= waited
            in_python = (c["thread"] == thread) & python[c["layer"]]
            all_python = int(took[in_python].sum())
            for number, label in enumerate(run.labels):
                part = int(took[in_python & (c["op"] == number)].sum())
                if part:
                    found[label].waits["gil"] += waited * part // all_python
        queued += sum(part[4] or 0 for part in run.parts)
    # Waits are measured with another clock than tasks; a task of nothing but waiting may come out a little negative.
    times["compute"] = max(times["compute"], 0)
    busy = sum(times.values())
    # A run that waits for a pool that is busy with others may work on its calling thread as well.
    times["idle"] = max(had - busy, 0)
    return Analysis(
        runs=runs,
        block=block,
        wall=wall,
        threads=threads,
        capacity=max(had, busy),
        times=times,
        queued=queued,
        operations=sorted(found.values(), key=lambda op: -op.total),
        spilled=sum(size for r in runs for _, size, out, _ in r.spills if out),
        restored=sum(size for r in runs for _, size, out, _ in r.spills if not out),
    )
