"""Looking at computations: a progress bar, profilers, reports, what a computation will do, pictures of graphs.

Examples
--------
>>> import pantile.array as da
>>> from pantile.diagnostics import ProgressBar
>>> with ProgressBar():
...     total = da.ones(10, chunks=5).sum().compute()
>>> float(total)
10.0
"""

from __future__ import annotations

from pantile.diagnostics.callbacks import Callback
from pantile.diagnostics.explanation import Explanation, explain
from pantile.diagnostics.picture import Picture, visualize
from pantile.diagnostics.profile import CacheProfiler, Profiler, ResourceProfiler
from pantile.diagnostics.progress import ProgressBar
from pantile.diagnostics.reporting import Report, report

__all__ = [
    "CacheProfiler",
    "Callback",
    "Explanation",
    "Picture",
    "Profiler",
    "ProgressBar",
    "Report",
    "ResourceProfiler",
    "explain",
    "report",
    "visualize",
]
