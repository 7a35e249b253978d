"""Pantile: NumPy's functions on arrays that are too big or too slow for NumPy.

``import pantile`` itself loads nothing, not even NumPy: each part is imported when it is first used. The parts are

- ``pantile.array``: lazy arrays in chunks, with NumPy's functions (``import pantile.array as da``);
- ``pantile.bag``: collections of Python objects in partitions (``import pantile.bag as db``);
- ``pantile.config``: threads, memory limit, block size, where settings come from;
- ``pantile.futures``, ``pantile.joblib``: an executor of `concurrent.futures` and a backend of joblib, on threads or processes;
- ``pantile.graph_manipulation``: calls that wait for others, and copies of graphs;
- ``pantile.diagnostics``: the progress bar, profilers, pictures of graphs, ``explain``;

``delayed`` makes nodes of any function's calls. ``compute``, ``persist``, ``visualize`` and ``explain`` take any number of
arrays, delayed values and bags at once, so that what they share is computed once.
``report`` writes a page about the runs of a ``with`` block.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pantile import array, bag, config, diagnostics, futures, graph_manipulation, joblib
    from pantile._delayed import delayed, optimize
    from pantile._native import (
        ArgumentChangedError,
        Delayed,
        InternalError,
        MemoryLimitError,
        UnsupportedError,
        WorkerDiedError,
        __version__,
    )
    from pantile._run import compute, persist
    from pantile._tokenize import normalize_token, tokenize
    from pantile.annotations import annotate, get_annotations
    from pantile.diagnostics import explain, report, visualize

__all__ = [
    "ArgumentChangedError",
    "Delayed",
    "InternalError",
    "MemoryLimitError",
    "UnsupportedError",
    "WorkerDiedError",
    "__version__",
    "annotate",
    "array",
    "bag",
    "compute",
    "config",
    "delayed",
    "diagnostics",
    "explain",
    "futures",
    "get_annotations",
    "graph_manipulation",
    "joblib",
    "normalize_token",
    "optimize",
    "persist",
    "report",
    "tokenize",
    "visualize",
]

# Where each name comes from; the parts are modules of that name.
_PARTS = ("array", "bag", "config", "diagnostics", "futures", "graph_manipulation", "joblib")
_NAMES = {
    "ArgumentChangedError": "pantile._native",
    "Delayed": "pantile._native",
    "WorkerDiedError": "pantile._native",
    "compute": "pantile._run",
    "delayed": "pantile._delayed",
    "optimize": "pantile._delayed",
    "persist": "pantile._run",
    "annotate": "pantile.annotations",
    "get_annotations": "pantile.annotations",
    "normalize_token": "pantile._tokenize",
    "tokenize": "pantile._tokenize",
    "explain": "pantile.diagnostics",
    "report": "pantile.diagnostics",
    "visualize": "pantile.diagnostics",
    "InternalError": "pantile._native",
    "MemoryLimitError": "pantile._native",
    "UnsupportedError": "pantile._native",
    "__version__": "pantile._native",
}


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(f"pantile.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'pantile' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
