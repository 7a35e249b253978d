"""Expressions on an HDF5 array that is larger than the memory limit: ``python demo/expressions.py [--size 4GB] [--limit 1GB]``.

The file is made once, in build/demo, from a seed. Each expression then runs with a progress bar; afterwards stand its time, the
bytes it read a second, and the most memory the process held. Each is checked against NumPy on a part that NumPy can hold, and
the mean of the whole also against the sum that was kept while the file was made. The demo fails if a check does, or if memory
went over the limit.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

DATASET = "x"
CHUNK = 500
"""Rows and columns of a chunk: 2 MB of doubles."""

SEED = 20_240_117
PART = 1_000
"""Rows and columns of the corner on which NumPy checks."""

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def byte_count(text: str) -> int:
    """Reads a size such as 4GB, 512MiB or 1000000."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2].upper() not in UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write, for example, 4GB, 512MiB or 1000000")
    return int(float(match[1]) * UNITS[match[2].upper()])


def bytes_text(count: float) -> str:
    """A size for people."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def side_of(size: int) -> int:
    """Rows of the square array of doubles of at least that many bytes, in whole chunks."""
    return max(2, -int(-((size / 8) ** 0.5) // CHUNK)) * CHUNK


def make_file(path: Path, side: int) -> None:
    """Writes the array, a band of chunk rows at a time, unless it is there already.

    Band ``i`` comes from the seed and ``i`` alone. The file gets its name when it is complete, so that one which was
    interrupted is never taken for a whole one; its attribute ``sum`` is what NumPy summed on the way.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    total = 0.0
    try:
        with h5py.File(part, "w") as file:
            dataset = file.create_dataset(DATASET, (side, side), "f8", chunks=(CHUNK, CHUNK))
            for band, first in enumerate(range(0, side, CHUNK)):
                values = np.random.default_rng((SEED, band)).random((CHUNK, side))
                dataset[first : first + CHUNK] = values
                total += float(values.sum())
                if sys.stderr.isatty():
                    print(f"\r\033[KMaking {path}: {(first + CHUNK) / side:.0%}", end="", file=sys.stderr)
            dataset.attrs["sum"] = total
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)


def peak_memory() -> int:
    """The most physical memory the process has held since `forget_peak`, in bytes (0 where the system does not tell)."""
    try:
        with open("/proc/self/status") as status:
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0


def forget_peak() -> None:
    """Makes the system's high-water mark start again from what is held now."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


@dataclass(frozen=True)
class Expression:
    """One line of the demo.

    ``corner`` is the side of the square it runs on (None: the whole array). ``compute`` takes a Pantile array and gives
    results as NumPy has them; ``expected`` takes a NumPy array and gives what ``compute`` should.
    """

    text: str
    corner: int | None
    compute: Callable[[Any], list[Any]]
    expected: Callable[[np.ndarray], list[Any]]


def svd_values(x: Any) -> list[Any]:
    """The singular values, and the product of the factors, which must be the matrix again."""
    import pantile
    import pantile.array as da

    u, s, v = pantile.compute(*da.linalg.svd(x + x.T - x.mean()))
    return [s, (u * s) @ v]


def svd_expected(x: np.ndarray) -> list[Any]:
    """The same with NumPy: vectors differ in sign from library to library, so the product stands for them."""
    matrix = x + x.T - x.mean()
    return [np.linalg.svd(matrix, compute_uv=False), matrix]


EXPRESSIONS = (
    Expression("x.mean()", None, lambda x: [x.mean().compute()], lambda x: [x.mean()]),
    Expression("(x + x.T).std()", None, lambda x: [(x + x.T).std().compute()], lambda x: [(x + x.T).std()]),
    Expression(
        "(x.dot(x.T + 1) - x.mean()).std()",
        4_000,
        lambda x: [(x.dot(x.T + 1) - x.mean()).std().compute()],
        lambda x: [(x.dot(x.T + 1) - x.mean()).std()],
    ),
    Expression("u, s, v = da.linalg.svd(x + x.T - x.mean())", 2_000, svd_values, svd_expected),
)


def run(path: Path, limit: int, most: int) -> bool:
    """Runs every expression; answers whether memory stayed under the limit. A wrong number raises."""
    import pantile.array as da
    from pantile.diagnostics import ProgressBar

    with h5py.File(path) as file:
        dataset = file[DATASET]
        whole_mean = dataset.attrs["sum"] / dataset.size
        corner = dataset[:PART, :PART]
    x = da.from_hdf5(str(path), DATASET)
    print(
        f"x: {x.shape[0]} × {x.shape[1]} doubles, {bytes_text(x.nbytes)} in {path}; limit {bytes_text(limit)}\n"
    )

    within = True
    for expression in EXPRESSIONS:
        side = min(expression.corner or x.shape[0], x.shape[0])
        if expression.corner is not None:
            side = min(side, most)
        operand = x if side == x.shape[0] else x[:side, :side]
        where = "" if side == x.shape[0] else f", x = x[:{side}, :{side}]"
        print(f"{expression.text}{where}", flush=True)
        forget_peak()
        begin = time.perf_counter()
        with ProgressBar():
            results = expression.compute(operand)
        seconds = time.perf_counter() - begin
        peak = peak_memory()

        # The same graph on the corner that NumPy holds.
        part = min(PART, side)
        for ours, numpys in zip(
            expression.compute(x[:part, :part]), expression.expected(corner[:part, :part]), strict=True
        ):
            np.testing.assert_allclose(ours, numpys, rtol=1e-9, atol=1e-9, err_msg=expression.text)
        if expression.text == "x.mean()":
            np.testing.assert_allclose(results[0], whole_mean, rtol=1e-12, err_msg="mean of the whole")

        shown = (
            f"{float(results[0]):.12g}"
            if np.ndim(results[0]) == 0
            else f"s[:3] = {np.asarray(results[0])[:3]}"
        )
        print(f"    {shown}")
        print(
            f"    {seconds:.2f} s, {operand.nbytes / seconds / 1e9:.2f} GB/s of x, "
            f"peak memory {bytes_text(peak)}; equal to NumPy's on {part} × {part}\n",
            flush=True,
        )
        if peak > limit:
            within = False
            print(f"    PEAK OVER THE LIMIT: {bytes_text(peak)} > {bytes_text(limit)}\n")
    return within


def main() -> int:
    """Entry point; answers the exit status."""
    parser = argparse.ArgumentParser(description="Expressions on an array larger than the memory limit")
    parser.add_argument("--size", type=byte_count, default="4GB", help="of the array (default: 4GB)")
    parser.add_argument("--limit", type=byte_count, default="1GB", help="of memory (default: 1GB)")
    parser.add_argument("--folder", type=Path, default=Path("build/demo"), help="where the file is kept")
    parser.add_argument(
        "--corner", type=int, default=4_000, help="at most so many rows for products and decompositions"
    )
    options = parser.parse_args()

    # Read when the engine starts, so it must be there before pantile is imported.
    os.environ["PANTILE_MEMORY_LIMIT"] = str(options.limit)
    side = side_of(options.size)
    path = options.folder / f"expressions-{side}.h5"
    make_file(path, side)
    return 0 if run(path, options.limit, options.corner) else 1


if __name__ == "__main__":
    sys.exit(main())
