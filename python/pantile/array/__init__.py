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

# First, since the other modules need its class while it needs their functions.
from pantile.array.core import Array

# isort: split
from pantile.array import (
    blocks,
    creation,
    elementwise,
    indexing,
    linalg,
    manipulation,
    overlap,
    products,
    random,
    reductions,
    sources,
    statistics,
    targets,
)

__all__ = ["Array", "linalg", "random"]

for _module in (
    creation,
    sources,
    targets,
    elementwise,
    reductions,
    manipulation,
    indexing,
    products,
    statistics,
    blocks,
    overlap,
):
    for _name in _module.__all__:
        globals()[_name] = getattr(_module, _name)
        __all__ += [_name]

# What NumPy users expect beside the functions.
pi, e, inf, nan, newaxis = _np.pi, _np.e, _np.inf, _np.nan, None
__all__ += ["pi", "e", "inf", "nan", "newaxis"]

if TYPE_CHECKING:
    # The names above, for type checkers: most functions are made from the catalogue of operations.
    def __getattr__(name: str) -> Any: ...


def __dir__() -> list[str]:
    return sorted(__all__)
