"""NumPy's own functions on lazy arrays: ``np.sin(x)``, ``np.add.reduce(x)``, ``np.concatenate([x, y])``.

A function that has no lazy form raises a TypeError that says what to do: nothing computes by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pantile.array.core import Array, argument, as_expr, operand

_REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "minimum": "min",
    "maximum": "max",
    "fmin": "nanmin",
    "fmax": "nanmax",
    "logical_and": "all",
    "logical_or": "any",
}
_IGNORED = {"casting": "same_kind", "order": "K", "subok": True, "signature": None}


def _refuse(kwargs: dict[str, Any], what: str) -> None:
    for name, usual in _IGNORED.items():
        if name in kwargs and kwargs.pop(name) != usual:
            raise TypeError(f"{what}: the keyword `{name}` is not supported for lazy arrays")


def array_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `Array.__array_ufunc__` does."""
    from pantile.array import elementwise, products, reductions

    name = ufunc.__name__
    for value in (*inputs, *(kwargs.get("out") or ())):
        if value is not None and operand(value) is NotImplemented:
            return NotImplemented
    what = f"numpy.{name}" + ("" if method == "__call__" else f".{method}")
    _refuse(kwargs, what)
    out = kwargs.get("out")
    if isinstance(out, tuple) and len(out) == 1:
        kwargs["out"] = out[0]
    if method == "__call__":
        if name in ("matmul", "matvec", "vecmat", "vecdot"):
            return getattr(products, name)(*inputs, **kwargs)
        if name not in elementwise.UFUNCS:
            raise TypeError(
                f"{what} is not available for lazy arrays; use x.compute() first, or x.map_blocks({what})"
            )
        return getattr(elementwise, name)(*inputs, **kwargs)
    if method == "reduce" and name in _REDUCTIONS:
        kwargs.setdefault("axis", 0)
        if kwargs.get("dtype", 0) is None or name not in ("add", "multiply"):
            kwargs.pop("dtype", None)
        if kwargs.get("initial", 0) is np._NoValue:
            kwargs.pop("initial")
        return getattr(reductions, _REDUCTIONS[name])(*inputs, **kwargs)
    if method == "accumulate" and name in ("add", "multiply"):
        kwargs.setdefault("axis", 0)
        return (reductions.cumsum if name == "add" else reductions.cumprod)(*inputs, **kwargs)
    if method == "outer" and ufunc.nin == 2 and name in elementwise.UFUNCS:
        from pantile import _native

        x, y = as_expr(inputs[0]), as_expr(inputs[1])
        if y.ndim:
            x = _native.expand_dims(x, tuple(range(x.ndim, x.ndim + y.ndim)))
        return getattr(elementwise, name)(Array(x), Array(y), **kwargs)
    supported = {
        "reduce": ", ".join(f"numpy.{n}" for n in _REDUCTIONS),
        "accumulate": "numpy.add, numpy.multiply",
        "outer": "binary ufuncs of the catalogue",
    }
    hint = f"it is for {supported[method]}" if method in supported else "no ufunc has it here"
    raise TypeError(f"{what} is not available for lazy arrays ({hint}); use x.compute() first, or map_blocks")


_table: dict[Any, Callable[..., Any]] = {}


def _shape(a: Any) -> tuple[Any, ...]:
    return tuple(as_expr(a).shape)


def _size(a: Any, axis: Any = None) -> Any:
    x = Array(as_expr(a))
    return x.size if axis is None else x.shape[axis]


def _result_type(*args: Any) -> np.dtype[Any]:
    return np.result_type(*(a.dtype if isinstance(a, Array) else a for a in args))


def _can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    return np.can_cast(from_.dtype if isinstance(from_, Array) else from_, to, casting)


def _shares(a: Any, b: Any, max_work: Any = None) -> bool:
    # Expressions own their values.
    return False


def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    from pantile.array import creation, elementwise, reductions

    x, y = as_expr(a1), as_expr(a2)
    if x.shape != y.shape:
        return creation.full((), False)
    same = elementwise.call("equal", x, y)
    if equal_nan:
        same = elementwise.call(
            "logical_or",
            same,
            elementwise.call("logical_and", elementwise.call("isnan", x), elementwise.call("isnan", y)),
        )
    return reductions.all(Array(same))


def _copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    from pantile import _native
    from pantile.array.elementwise import finish

    e = argument(src)
    if not hasattr(e, "chunks"):
        e = as_expr(src)
    if isinstance(dst, Array) and e.shape != dst.shape:
        e = _native.broadcast_to(e, dst.chunks)
    finish([e], "copyto", dst, where)


def table() -> dict[Any, Callable[..., Any]]:
    """NumPy's functions and ours."""
    if _table:
        return _table
    from pantile.array import (
        blocks,
        creation,
        elementwise,
        indexing,
        linalg,
        manipulation,
        products,
        reductions,
        statistics,
    )

    for module in (reductions, manipulation, products, indexing, elementwise, creation, statistics, blocks):
        for name in module.__all__:
            function = getattr(np, name, None)
            if function is not None and not isinstance(function, np.ufunc):
                _table[function] = getattr(module, name)
    for name in linalg.__all__:
        function = getattr(np.linalg, name, None)
        if function is not None and not isinstance(function, type):
            _table[function] = getattr(linalg, name)
    # NumPy's default for svd has square factors.
    _table[np.linalg.svd] = lambda a, full_matrices=True, compute_uv=True, hermitian=False: linalg.svd(
        a, full_matrices, compute_uv
    )
    for function in (
        np.zeros,
        np.ones,
        np.empty,
        np.full,
        np.arange,
        np.eye,
        np.identity,
        np.array,
        np.asarray,
    ):
        _table.pop(function, None)
    _table.update(
        {
            np.shape: _shape,
            np.ndim: lambda a: as_expr(a).ndim,
            np.size: _size,
            np.copy: lambda a, order="K", subok=False: Array(as_expr(a)),
            np.result_type: _result_type,
            np.can_cast: _can_cast,
            np.may_share_memory: _shares,
            np.shares_memory: _shares,
            np.array_equal: _array_equal,
            np.copyto: _copyto,
            np.iscomplexobj: lambda x: np.dtype(as_expr(x).dtype).kind == "c",
            np.isrealobj: lambda x: np.dtype(as_expr(x).dtype).kind != "c",
            np.amax: reductions.max,
            np.amin: reductions.min,
            np.nan_to_num: elementwise.nan_to_num,
            np.linalg.matmul: products.matmul,
            np.linalg.tensordot: products.tensordot,
            np.linalg.outer: products.outer,
        }
    )
    return _table


def array_function(func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """What `Array.__array_function__` does."""
    if not all(issubclass(t, (Array, np.ndarray, np.generic)) for t in types):
        return NotImplemented
    ours = table().get(func)
    if ours is None:
        module = getattr(func, "__module__", "numpy")
        raise TypeError(
            f"{module}.{func.__name__} is not available for lazy arrays; use x.compute() first, or "
            f"x.map_blocks({module}.{func.__name__}) if it works block by block"
        )
    return ours(*args, **kwargs)
