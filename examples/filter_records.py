"""SciPy's filters on records of the climate, read from a place that fails at times: ``python examples/filter_records.py``.

Each file of the package ``iris-sample-data`` that holds values over time (HDF5, read with h5py) is cleared of its trend and
filtered with SciPy, so that only swings slower than a period are left, for several periods. None of these functions knows of
Pantile; `pantile.delayed` makes a pipeline of them, in which each file is read once for all periods.

Two kinds of failures are shown. Some go away: the reader here fails a few times for each file, as a busy file server does,
and ``pantile.annotate(retries=...)`` has the call tried again. Some do not: a file that is no HDF5 file. Trying again is no
use, and the others should not be lost for it, so the reader returns what is wrong, and later steps pass that on.

``--report run.html`` writes a page about the run.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import iris_sample_data
import numpy as np
import pantile
from scipy import signal

# ---- the steps: plain functions ----

RECORDS = {
    "A1B_north_america.nc": "air_temperature",
    "E1_north_america.nc": "air_temperature",
    "SOI_Darwin.nc": "SOI_Darwin",
    "ostia_monthly.nc": "surface_temperature",
    "polar_stereo.grib2": "air_temperature",
}
"""Files and what is read from them. The last one is in another format."""


class Unreadable(NamedTuple):
    """What stands for a record that nobody can read."""

    reason: str


def read(path: Path, variable: str) -> np.ndarray | Unreadable:
    """A record as an array of times × places, from its first to its last value, of the places that miss none between."""
    if not h5py.is_hdf5(path):
        return Unreadable(f"{path.name} is no HDF5 file")
    with h5py.File(path) as file:
        stored = file[variable]
        values = stored[:].astype("f8").reshape(len(stored), -1)
        # NetCDF writes its fill value where nothing was measured.
        missing = values == stored.attrs.get("_FillValue", stored.fillvalue)
    (measured,) = np.nonzero(~missing.all(axis=1))
    if not len(measured):
        return Unreadable(f"{path.name} has no values")
    span = slice(measured[0], measured[-1] + 1)
    return values[span, ~missing[span].any(axis=0)]


def or_unreadable(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step that passes on what is unreadable, and is called with anything else."""

    @functools.wraps(step)
    def passing(record: Any, *arguments: Any) -> Any:
        return record if isinstance(record, Unreadable) else step(record, *arguments)

    return passing


@or_unreadable
def without_trend(values: np.ndarray) -> np.ndarray:
    """What is left of each place's record without its mean and its linear trend."""
    return signal.detrend(values, axis=0)


@or_unreadable
def slow(values: np.ndarray, period: float) -> np.ndarray:
    """The swings that take longer than `period` steps, not shifted in time."""
    sections = signal.butter(4, 2 / period, output="sos")
    return signal.sosfiltfilt(sections, values, axis=0)


@or_unreadable
def share(all_values: np.ndarray, slow_values: np.ndarray) -> float:
    """How much of the variance the slow swings are."""
    return float(slow_values.var() / all_values.var())


# ---- a reader that fails ----


class FlakyReader:
    """Reads as `read` does, but fails a few times for each file first: how often is drawn from a seed."""

    def __init__(self, most: int, seed: int) -> None:
        draw = random.Random(seed)
        # At least one fails.
        self.failures = {name: draw.randint(0, most) for name in RECORDS}
        self.failures[next(iter(RECORDS))] = most
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, path: Path, variable: str) -> np.ndarray | Unreadable:
        with self._lock:
            self.calls[path.name] += 1
            call = self.calls[path.name]
        if call <= self.failures[path.name]:
            raise ConnectionError(f"no answer for {path.name} (call {call})")
        return read(path, variable)


# ---- the pipeline ----

Shares = dict[tuple[str, float], float | Unreadable]
"""The share of the slow swings for each file and period."""


def with_loops(folder: Path, periods: list[float]) -> Shares:
    """Step by step, with a reader that does not fail: what the other is checked against."""
    shares: Shares = {}
    for name, variable in RECORDS.items():
        values = without_trend(read(folder / name, variable))
        for period in periods:
            shares[name, period] = share(values, slow(values, period))
    return shares


def with_delayed(
    folder: Path, periods: list[float], reader: Callable[[Path, str], Any], retries: int
) -> Shares:
    """The same as a graph that runs in parallel, with `retries` more chances for each file to be read."""
    shares = {}
    for name, variable in RECORDS.items():
        # Holds for the calls that are built in the block, here one.
        with pantile.annotate(retries=retries):
            record = pantile.delayed(reader)(folder / name, variable)
        values = pantile.delayed(without_trend)(record)
        for period in periods:
            shares[name, period] = pantile.delayed(share)(values, pantile.delayed(slow)(values, period))
    # On threads, since the reader counts its calls: workers in other processes would count in copies of it.
    (found,) = pantile.compute(shares, executor="threads")
    return found


# ---- the comparison ----


def main(arguments: list[str] | None = None) -> int:
    """Runs the pipeline without and with retries, and compares with the loops; 1 if they differ."""
    parser = argparse.ArgumentParser(
        description="Filter climate records with SciPy, from a reader that fails"
    )
    parser.add_argument(
        "--periods", type=float, nargs="+", default=[3, 6, 12, 24], help="in steps of the records"
    )
    parser.add_argument(
        "--failures", type=int, default=3, help="how often reading a file fails at most (default: 3)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the failures")
    parser.add_argument("--report", type=Path, help="write a page about the run to this file")
    options = parser.parse_args(arguments)
    if min(options.periods) <= 2:
        parser.error("a swing of two steps or less is not in a record; choose periods above 2")
    if options.failures < 1:
        parser.error("--failures must be at least 1, so that there is something to see")
    folder = Path(iris_sample_data.path)

    # An exception reaches the caller as it was raised, with a note that says which call it was and who built it.
    try:
        with_delayed(folder, options.periods, FlakyReader(options.failures, options.seed), retries=0)
    except ConnectionError as error:
        print(f"without retries: {type(error).__name__}: {error}")
        for note in error.__notes__:
            print(f"  {note}")
    else:
        print("without retries: no failure was seen, which cannot be")
        return 1

    reader = FlakyReader(options.failures, options.seed)
    with pantile.report(options.report) if options.report else contextlib.nullcontext():
        start = time.perf_counter()
        found = with_delayed(folder, options.periods, reader, retries=options.failures)
        seconds = time.perf_counter() - start
    print(f"with retries: {sum(reader.calls.values())} calls to read {len(RECORDS)} files")
    start = time.perf_counter()
    expected = with_loops(folder, options.periods)
    loop_seconds = time.perf_counter() - start

    print("share of the variance in swings of more than so many steps:")
    print(f"  {'':22}" + "".join(f"{period:>7g}" for period in options.periods))
    for name in RECORDS:
        row = [found[name, period] for period in options.periods]
        unreadable = next((value for value in row if isinstance(value, Unreadable)), None)
        text = unreadable.reason if unreadable else "".join(f"{value:7.1%}" for value in row)
        print(f"  {name:22}{text}")
    print(f"loops: {loop_seconds:.2f} s, delayed: {seconds:.2f} s with all failures")
    if found != expected:
        print("the two ways differ")
        return 1
    print("the two ways agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
