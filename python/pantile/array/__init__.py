"""Lazy arrays in chunks, with NumPy's functions: ``import pantile.array as da``.

Functions have NumPy's names, arguments, defaults, dtypes, shapes and errors. They build an expression; `Array.compute` runs it.

Examples
--------
>>> import pantile.array as da
>>> x = da.ones((1000, 1000), chunks=(100, 1000))
>>> float((x + x.T).sum().compute())
2000000.0
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as _np

from pantile.array import core as _core  # noqa: F401  (first: the other modules need its class)
from pantile.array import (
    blocks as _blocks,
    creation as _creation,
    elementwise as _elementwise,
    indexing as _indexing,
    linalg as linalg,
    manipulation as _manipulation,
    overlap as _overlap,
    products as _products,
    random as random,
    reductions as _reductions,
    sources as _sources,
    statistics as _statistics,
    targets as _targets,
)
from pantile.array.core import Array as Array

__all__ = ["Array", "linalg", "random"]

for _module in (
    _creation,
    _sources,
    _targets,
    _elementwise,
    _reductions,
    _manipulation,
    _indexing,
    _products,
    _statistics,
    _blocks,
    _overlap,
):
    for _name in _module.__all__:
        globals()[_name] = getattr(_module, _name)
        __all__ += [_name]

# What NumPy users expect beside the functions.
pi, e, inf, nan, newaxis = _np.pi, _np.e, _np.inf, _np.nan, None
trace = linalg.trace
__all__ += ["pi", "e", "inf", "nan", "newaxis", "trace"]

if TYPE_CHECKING:
    # The names above, for type checkers: most functions are made from the catalogue of operations.
    def __getattr__(name: str) -> Any: ...


def __dir__() -> list[str]:
    return sorted(__all__)
