"""Drives the workers: a fresh process for each variant, timed runs in turn, nothing else at the same time."""

from __future__ import annotations

import contextlib
import json
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import IO, Any

from .case import Case
from .data import ROOT
from .worker import MISSING

TIMEOUT_S = 600.0
"""A worker that says nothing for so long is taken to hang, and is ended."""

PAUSE_S = 0.05
"""Between two runs, so that one library's idle threads have stopped spinning before another is timed."""


@dataclass
class Measurement:
    """What one variant did. ``error`` is None unless it could not be measured or answered wrongly."""

    variant: str
    seconds: list[float] = field(default_factory=list)
    answers: list[list[float]] = field(default_factory=list)
    first_s: float = 0.0
    peak_bytes: int = 0
    data_bytes: int = 0
    error: str | None = None
    missing: bool = False

    @property
    def median_s(self) -> float:
        """The median of the timed runs."""
        return median(self.seconds)


class Worker:
    """One process that runs one variant of one case, when asked."""

    def __init__(self, case: Case, variant: str, size: str) -> None:
        self.measurement = Measurement(variant)
        # Closed in `close`: it must outlive this function.
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", case.name, variant, size],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
        )

    def _answer(self) -> dict[str, Any] | None:
        """The worker's next line; None, with the reason kept, when there is none."""
        stdout = self._process.stdout
        assert stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(TIMEOUT_S):
                self._process.kill()
                self.measurement.error = f"no answer for {TIMEOUT_S:.0f} s"
                return None
        line = stdout.readline()
        if line:
            return json.loads(line)
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        self.measurement.error = f"exit status {status}: " + (said[-1] if said else "it said nothing")
        return None

    def warm_up(self) -> None:
        """Waits until the data are made and the first run, which compiles, is over."""
        answer = self._answer()
        if answer is None:
            return
        if "missing" in answer:
            self.measurement.missing = self._process.wait() == MISSING
            self.measurement.error = answer["missing"]
            return
        self.measurement.first_s = answer["first_s"]
        self.measurement.answers.append(answer["answer"])

    def run(self) -> None:
        """One timed run."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(b"run\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # It has ended; why, stands in what it said, which is read next.
        answer = self._answer()
        if answer is None:
            return
        m = self.measurement
        m.seconds.append(answer["seconds"])
        m.answers.append(answer["answer"])
        m.peak_bytes = max(m.peak_bytes, answer["peak_bytes"])
        m.data_bytes = answer["data_bytes"]

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


def wants_a_run(case: Case, m: Measurement) -> bool:
    """Whether a variant is timed once more, as far as its own time goes."""
    if m.error is not None:
        return False
    if len(m.seconds) < (1 if m.first_s > case.budget_s else 2):
        return True
    return sum(m.seconds) + m.median_s <= case.budget_s


def measure(
    case: Case,
    size: str,
    wanted: Sequence[str] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[Measurement]:
    """Measures the wanted variants of a case (all, when None) in turn."""
    if case.prepare is not None:
        say("making its files")
        subprocess.run(
            [sys.executable, "-m", "benchmarks.worker", case.name, "prepare", size], cwd=ROOT, check=True
        )
    repeats = case.repeats if size == "full" else 2
    workers: list[Worker] = []
    try:
        # One after the other: data are made and code is compiled while nobody else is timed or disturbed.
        for variant in case.variants:
            if wanted is None or variant in wanted:
                say(f"{variant} warms up")
                workers.append(Worker(case, variant, size))
                workers[-1].warm_up()
        alive = [worker for worker in workers if worker.measurement.error is None]
        for turn in range(repeats):
            for worker in alive:
                m = worker.measurement
                if wants_a_run(case, m):
                    say(f"{m.variant}, run {turn + 1}")
                    time.sleep(PAUSE_S)
                    worker.run()
            # Whoever runs after a heavy neighbour is not always the same one.
            alive = alive[1:] + alive[:1]
    finally:
        for worker in workers:
            worker.close()
    return [worker.measurement for worker in workers]


def agree(answer: Sequence[float], reference: Sequence[float], rtol: float, atol: float) -> bool:
    """Whether two answers are equal to within the tolerances. NaN agrees with nothing."""
    return len(answer) == len(reference) and all(
        abs(a - b) <= atol + rtol * max(abs(a), abs(b)) for a, b in zip(answer, reference, strict=True)
    )


def mark_wrong_answers(case: Case, measurements: Sequence[Measurement]) -> None:
    """Gives every variant that ever answered wrongly an error in place of its times.

    Right is what mathematics says, where the case knows it, and otherwise what the first measured variant other than Pantile
    says. A peer that disagrees with that reference is refused like Pantile would be: one of the two is wrong,
    and a person must look.
    """
    good = [m for m in measurements if m.error is None]
    reference, source = case.expected, "the expected value"
    if reference is None:
        judge = next((m for m in good if m.variant != "pantile"), good[0] if good else None)
        if judge is None:
            return
        reference, source = judge.answers[0], judge.variant
    for m in good:
        for answer in m.answers:
            if not agree(answer, reference, case.rtol, case.atol):
                worst = [
                    (a, b)
                    for a, b in zip(answer, reference, strict=False)
                    if not agree([a], [b], case.rtol, case.atol)
                ]
                got, want = worst[0] if worst else (f"{len(answer)} numbers", f"{len(reference)}")
                m.error = f"WRONG ANSWER: {got!r}, where {source} says {want!r}"
                break
