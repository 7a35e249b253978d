"""Files and arrays that several benchmarks share: the same numbers every time, made once, never half made."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "bench"


def random_array(shape: tuple[int, ...], seed: int = 0) -> Any:
    """Uniform numbers in [0, 1), the same in every process."""
    import numpy as np

    return np.random.default_rng(seed).random(shape)


def read_once(path: str | Path) -> None:
    """Puts a file into the page cache, so that decoding and computing are measured, and not this machine's disk."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def hdf5_path(kind: str, shape: tuple[int, ...]) -> Path:
    """Where the file of that kind and shape lies."""
    return FOLDER / f"{kind}-{'x'.join(map(str, shape))}.h5"


def make_hdf5(
    path: Path,
    shape: tuple[int, int],
    chunks: tuple[int, int],
    block: Callable[[int, int], Any],
    **filters: Any,
) -> None:
    """Writes dataset ``x`` of doubles in bands of chunk rows, unless the file is there; then reads it once.

    ``block(first_row, rows)`` gives a band. The file appears under its name only when it is complete.
    """
    import h5py

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            with h5py.File(part, "w") as file:
                dataset = file.create_dataset("x", shape, "f8", chunks=chunks, **filters)
                for first in range(0, shape[0], chunks[0]):
                    rows = min(chunks[0], shape[0] - first)
                    dataset[first : first + rows] = block(first, rows)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    read_once(path)
