"""Reductions over axes, their variants that ignore NaN, and running sums.

All reductions are tree reductions inside the engine, at the accuracy of NumPy's pairwise sums or better. Here their
arguments are checked; variants are composed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pantile import _native
from pantile._native import Expr
from pantile.array.chunking import axis_index, axis_tuple, reduced_axes
from pantile.array.core import Array, as_expr, dtype_text
from pantile.array.elementwise import call, finish, isclose

__all__ = [
    "all",
    "allclose",
    "any",
    "argmax",
    "argmin",
    "average",
    "count_nonzero",
    "cumprod",
    "cumsum",
    "max",
    "mean",
    "median",
    "min",
    "nanargmax",
    "nanargmin",
    "nancumprod",
    "nancumsum",
    "nanmax",
    "nanmean",
    "nanmedian",
    "nanmin",
    "nanprod",
    "nanstd",
    "nansum",
    "nanvar",
    "prod",
    "ptp",
    "std",
    "sum",
    "trace",
    "var",
]

_EVERY: Any = object()
"""No `where`, no `initial`: NumPy's own "not given"."""


def _number(value: Any, dtype: Any) -> Any:
    """A Python number from one of Python's or NumPy's for `initial`; a time as a count of the array's units."""
    if isinstance(value, (np.datetime64, np.timedelta64)) and np.dtype(dtype).kind in "mM":
        return int(value.astype(dtype).astype("i8"))
    if isinstance(value, (np.generic, np.ndarray)):
        if value.ndim:
            raise ValueError("initial must be a single number")
        return value.item()
    return value


def _reduce(
    name: str,
    a: Any,
    axis: Any,
    keepdims: bool,
    dtype: Any = None,
    ddof: float = 0,
    where: Any = True,
    initial: Any = None,
    skip_nan: bool = False,
) -> Expr:
    e = as_expr(a)
    axes = reduced_axes(axis, e.ndim)
    if axes == ():
        # Nothing is reduced, but NumPy converts (sum of int8 is int64), so an axis of length one is.
        e = _native.expand_dims(e, (0,))
        if where is not True:
            where = as_expr(where)
        r = _reduce(
            name, Array(e), 0, False, dtype, ddof, True if where is True else Array(where), initial, skip_nan
        )
        return r
    mask = None
    if where is not True and where is not _EVERY:
        mask = as_expr(where)
        if mask.dtype != "|b1":
            mask = _native.astype(mask, "|b1")
        if mask.chunks != e.chunks:
            mask = _native.broadcast_to(mask, e.chunks)
    return _native.reduce(
        name,
        e,
        axes,
        bool(keepdims),
        None if dtype is None else dtype_text(dtype),
        float(ddof),
        mask,
        None if initial is _EVERY else _number(initial, e.dtype),
        skip_nan,
    )


def _document(function: Callable[..., Any], what: str, extra: str, example: str) -> None:
    """A docstring from what is special about a reduction."""
    parameters = {
        "dtype": "dtype : dtype, optional\n        The dtype to compute in, and of the result.",
        "ddof": "ddof : float\n        The divisor is the number of elements less this.",
        "initial": "initial : number, optional\n        A value that takes part beside the elements.",
        "where": "where : array_like of bool, optional\n        Which elements count; broadcasts to the shape of `a`.",
    }
    lines = "\n    ".join(text for name, text in parameters.items() if name in extra.split())
    function.__doc__ = f"""{what}

    Parameters
    ----------
    a : array_like
        The array.
    axis : int, tuple of int or None
        The axes to reduce; None for all.
    out : Array or numpy.ndarray, optional
        Takes the result.
    keepdims : bool
        Whether reduced axes stay, with length one.
    {lines}

    Returns
    -------
    Array
        Lazy; of dtype and shape as `numpy.{function.__name__}` gives them.

    Examples
    --------
    >>> import numpy as np
    >>> import pantile.array as da
    {example}
    """


def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Array:
    return finish([_reduce("sum", a, axis, keepdims, dtype, 0, where, initial)], "sum", out)


def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Array:
    return finish([_reduce("prod", a, axis, keepdims, dtype, 0, where, initial)], "prod", out)


def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True
) -> Array:
    return finish([_reduce("mean", a, axis, keepdims, dtype, 0, where)], "mean", out)


def _ddof(ddof: float, correction: Any) -> float:
    if correction is not None:
        if ddof != 0:
            raise ValueError("ddof and correction can't be provided simultaneously.")
        return float(correction)
    return ddof


def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    correction: Any = None,
) -> Array:
    return finish([_reduce("std", a, axis, keepdims, dtype, _ddof(ddof, correction), where)], "std", out)


def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    correction: Any = None,
) -> Array:
    return finish([_reduce("var", a, axis, keepdims, dtype, _ddof(ddof, correction), where)], "var", out)


def _extremum(name: str, a: Any, axis: Any, out: Any, keepdims: bool, initial: Any, where: Any) -> Array:
    if where is not True and initial is None:
        raise ValueError(
            f"reduction operation '{name}imum' does not have an identity, so to use a where mask one has to specify 'initial'"
        )
    return finish([_reduce(name, a, axis, keepdims, None, 0, where, initial)], name, out)


def min(
    a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Array:
    return _extremum("min", a, axis, out, keepdims, initial, where)


def max(
    a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Array:
    return _extremum("max", a, axis, out, keepdims, initial, where)


def any(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True) -> Array:
    return finish([_reduce("any", a, axis, keepdims, None, 0, where)], "any", out)


def all(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True) -> Array:
    return finish([_reduce("all", a, axis, keepdims, None, 0, where)], "all", out)


def trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Array:
    """The sum of a diagonal of a matrix, or of each matrix of a stack.

    Parameters
    ----------
    a : array_like
        With two axes or more.
    offset : int
        Which diagonal: 0 the main one, above it for positive numbers.
    axis1, axis2 : int
        The axes of the rows and the columns.
    dtype : dtype, optional
        The dtype to sum in.
    out : Array or numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    Array
        Without the two axes.

    Raises
    ------
    ValueError
        The array has fewer than two axes, or `axis1` and `axis2` are the same.

    Examples
    --------
    >>> import pantile.array as da
    >>> int(da.trace(da.arange(4).reshape(2, 2)).compute())
    3
    """
    from pantile.array.indexing import diagonal

    return finish([_reduce("sum", diagonal(a, offset, axis1, axis2), -1, False, dtype)], "trace", out)


def _one_axis(axis: Any, ndim: int) -> Any:
    if axis is None:
        return None
    if isinstance(axis, (tuple, list)):
        raise TypeError(
            f"'{type(axis).__name__}' object cannot be interpreted as an integer: give one axis, or None"
        )
    # NumPy allows axis 0 of an array without axes.
    return None if ndim == 0 and axis in (0, -1) else axis


def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Array:
    e = as_expr(a)
    return finish([_reduce("argmin", Array(e), _one_axis(axis, e.ndim), keepdims)], "argmin", out)


def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Array:
    e = as_expr(a)
    return finish([_reduce("argmax", Array(e), _one_axis(axis, e.ndim), keepdims)], "argmax", out)


def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
    high, low = _reduce("max", a, axis, keepdims), _reduce("min", a, axis, keepdims)
    return finish([call("subtract", high, low)], "ptp", out)


def nansum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Array:
    return finish([_reduce("sum", a, axis, keepdims, dtype, 0, where, initial, True)], "nansum", out)


def nanprod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Array:
    return finish([_reduce("prod", a, axis, keepdims, dtype, 0, where, initial, True)], "nanprod", out)


def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True
) -> Array:
    return finish([_reduce("mean", a, axis, keepdims, dtype, 0, where, None, True)], "nanmean", out)


def _nan_moment(name: str, a: Any, axis: Any, dtype: Any, ddof: float, keepdims: bool, where: Any) -> Expr:
    e = as_expr(a)
    r = _reduce(name, Array(e), axis, keepdims, dtype, ddof, where, None, True)
    if ddof <= 0 or np.dtype(e.dtype).kind not in "fc":
        return r
    # Where too few numbers are left, NumPy's answer is NaN.
    number = call("logical_not", call("isnan", e))
    count = _reduce("sum", Array(number), axis, keepdims, None, 0, where)
    return call("where", call("greater", count, float(ddof)), r, float("nan"))


def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    correction: Any = None,
) -> Array:
    return finish(
        [_nan_moment("var", a, axis, dtype, _ddof(ddof, correction), keepdims, where)], "nanvar", out
    )


def nanstd(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    correction: Any = None,
) -> Array:
    return finish(
        [_nan_moment("std", a, axis, dtype, _ddof(ddof, correction), keepdims, where)], "nanstd", out
    )


def _nan_extremum(name: str, a: Any, axis: Any, out: Any, keepdims: bool, initial: Any, where: Any) -> Array:
    e = as_expr(a)
    kind = np.dtype(e.dtype).kind
    if kind not in "fcmM":
        return _extremum(name, a, axis, out, keepdims, initial, where)
    if isinstance(initial, (np.datetime64, np.timedelta64)) and np.isnat(initial):
        initial = None  # It is passed over like every other.
    r = _reduce(name, Array(e), axis, keepdims, None, 0, where, initial, True)
    if initial is None:
        # Without a number the engine's answer is an infinity (a time's end), NumPy's is NaN (NaT).
        found = _reduce("any", Array(call("logical_not", call("isnan", e))), axis, keepdims, None, 0, where)
        nothing = np.array("NaT", e.dtype) if kind in "mM" else float("nan")
        r = _native.astype(call("where", found, r, nothing), e.dtype)
    return finish([r], f"nan{name}", out)


def nanmin(
    a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Array:
    return _nan_extremum("min", a, axis, out, keepdims, initial, where)


def nanmax(
    a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Array:
    return _nan_extremum("max", a, axis, out, keepdims, initial, where)


def _refuse_missing(block_id: Any, positions: Any, found: Any) -> Any:
    if not np.all(found):
        raise ValueError("All-NaN slice encountered")
    return positions


def _nan_arg(name: str, a: Any, axis: Any, out: Any, keepdims: bool) -> Array:
    e = as_expr(a)
    axis = _one_axis(axis, e.ndim)
    r = _reduce(name, Array(e), axis, keepdims, None, 0, True, None, True)
    if np.dtype(e.dtype).kind in "fc":
        # A slice without numbers is an error, which only the computation can find: a look at the (small) results.
        found = _reduce("any", Array(call("logical_not", call("isnan", e))), axis, keepdims)
        along = [("block", k) for k in range(r.ndim)]
        r = _native.blockwise(
            _refuse_missing, f"nan{name}", [(r, along), (found, along)], r.chunks, r.chunks, r.dtype
        )
    return finish([r], f"nan{name}", out)


def nanargmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Array:
    return _nan_arg("argmin", a, axis, out, keepdims)


def nanargmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Array:
    return _nan_arg("argmax", a, axis, out, keepdims)


_X = ">>> x = da.asarray([[1.0, 2.0], [3.0, 6.0]])\n    "
_N = ">>> x = da.asarray([[1.0, np.nan], [3.0, 6.0]])\n    "
_document(
    sum, "Sum over axes.", "dtype initial where", _X + ">>> da.sum(x, axis=0).compute()\n    array([4., 8.])"
)
_document(prod, "Product over axes.", "dtype initial where", _X + ">>> float(da.prod(x).compute())\n    36.0")
_document(
    mean,
    "Arithmetic mean over axes.",
    "dtype where",
    _X + ">>> da.mean(x, axis=1).compute()\n    array([1.5, 4.5])",
)
_document(
    std,
    "Standard deviation over axes.",
    "dtype ddof where",
    _X + ">>> da.std(x, axis=1).compute()\n    array([0.5, 1.5])",
)
_document(
    var,
    "Variance over axes.",
    "dtype ddof where",
    _X + ">>> da.var(x, axis=1).compute()\n    array([0.25, 2.25])",
)
_document(
    min,
    "Smallest value over axes, NaN if there is one.",
    "initial where",
    _X + ">>> da.min(x, axis=0).compute()\n    array([1., 2.])",
)
_document(
    max,
    "Largest value over axes, NaN if there is one.",
    "initial where",
    _X + ">>> da.max(x, axis=0).compute()\n    array([3., 6.])",
)
_document(
    any,
    "Whether any element over axes is true.",
    "where",
    _X + ">>> da.any(x > 2, axis=1).compute()\n    array([False,  True])",
)
_document(
    all,
    "Whether all elements over axes are true.",
    "where",
    _X + ">>> da.all(x > 2, axis=1).compute()\n    array([False,  True])",
)
_document(
    argmin,
    "Position of the first smallest value along one axis, or in the flattened array.",
    "",
    _X + ">>> da.argmin(x, axis=0).compute()\n    array([0, 0])",
)
_document(
    argmax,
    "Position of the first largest value along one axis, or in the flattened array.",
    "",
    _X + ">>> int(da.argmax(x).compute())\n    3",
)
_document(
    ptp,
    "Largest less smallest value over axes.",
    "",
    _X + ">>> da.ptp(x, axis=0).compute()\n    array([2., 4.])",
)
_document(
    nansum,
    "Sum over axes, NaN counting as zero.",
    "dtype initial where",
    _N + ">>> da.nansum(x, axis=0).compute()\n    array([4., 6.])",
)
_document(
    nanprod,
    "Product over axes, NaN counting as one.",
    "dtype initial where",
    _N + ">>> da.nanprod(x, axis=0).compute()\n    array([3., 6.])",
)
_document(
    nanmean,
    "Arithmetic mean of the numbers over axes; NaN where there are none.",
    "dtype where",
    _N + ">>> da.nanmean(x, axis=0).compute()\n    array([2., 6.])",
)
_document(
    nanstd,
    "Standard deviation of the numbers over axes.",
    "dtype ddof where",
    _N + ">>> da.nanstd(x, axis=0).compute()\n    array([1., 0.])",
)
_document(
    nanvar,
    "Variance of the numbers over axes.",
    "dtype ddof where",
    _N + ">>> da.nanvar(x, axis=0).compute()\n    array([1., 0.])",
)
_document(
    nanmin,
    "Smallest number over axes; NaN where there is none.",
    "initial where",
    _N + ">>> da.nanmin(x, axis=0).compute()\n    array([1., 6.])",
)
_document(
    nanmax,
    "Largest number over axes; NaN where there is none.",
    "initial where",
    _N + ">>> da.nanmax(x, axis=0).compute()\n    array([3., 6.])",
)
_document(
    nanargmin,
    "Position of the first smallest number. Without any, computing raises ValueError.",
    "",
    _N + ">>> da.nanargmin(x, axis=0).compute()\n    array([0, 1])",
)
_document(
    nanargmax,
    "Position of the first largest number. Without any, computing raises ValueError.",
    "",
    _N + ">>> da.nanargmax(x, axis=1).compute()\n    array([0, 1])",
)


def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Array:
    """How many elements over axes are not zero.

    Parameters
    ----------
    a : array_like
        The array.
    axis : int, tuple of int or None
        The axes; None for all.
    keepdims : bool
        Whether reduced axes stay, with length one.

    Returns
    -------
    Array
        Of int64.

    Examples
    --------
    >>> import pantile.array as da
    >>> int(da.count_nonzero(da.asarray([0, 1, 2])).compute())
    2
    """
    e = as_expr(a)
    truth = e if e.dtype == "|b1" else call("not_equal", e, 0)
    return Array(_reduce("sum", Array(truth), axis, keepdims))


def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    """Weighted mean over axes.

    Parameters
    ----------
    a : array_like
        The array.
    axis : int, tuple of int or None
        The axes; None for all.
    weights : array_like, optional
        Of the shape of `a`, or with one axis as long as `axis`.
    returned : bool
        Whether the sum of the weights is returned too.
    keepdims : bool
        Whether reduced axes stay, with length one.

    Returns
    -------
    Array or tuple of two arrays
        The average, and the sum of weights. Where weights sum to zero the result is NaN or infinite; NumPy raises, which would
        need the values.

    Examples
    --------
    >>> import pantile.array as da
    >>> float(da.average(da.asarray([1.0, 3.0]), weights=[3, 1]).compute())
    1.5
    """
    e = as_expr(a)
    if weights is None:
        result = _reduce("mean", Array(e), axis, keepdims)
        if not returned:
            return Array(result)
        axes = reduced_axes(axis, e.ndim)
        ones = call("add", call("multiply", e, 0), 1) if None in e.shape else None
        if ones is not None:
            raise ValueError("the sum of weights needs the shape: call compute_chunk_sizes() first")
        count = 1
        for k in range(e.ndim) if axes is None else axes:
            count *= e.shape[k] or 0
        total = _native.broadcast_to(_native.fill(float(count), "<f8", ()), result.chunks)
        return Array(result), Array(_native.astype(total, result.dtype))
    w = as_expr(weights)
    if w.shape != e.shape:
        if axis is None:
            raise TypeError("Axis must be specified when shapes of a and weights differ.")
        axes_in_order = axis_tuple(axis, e.ndim)
        if tuple(e.shape[k] for k in axes_in_order) != w.shape:
            raise ValueError(
                f"Shape of weights must be consistent with shape of a along specified axis: weights have {w.shape}, the array "
                f"has {e.shape} and axis is {axis}"
            )
        w = _native.transpose(w, tuple(int(k) for k in np.argsort(axes_in_order)))
        kept = [k for k in range(e.ndim) if k not in axes_in_order]
        w = _native.expand_dims(w, kept) if kept else w
        w = _native.broadcast_to(w, e.chunks)
    kinds = np.result_type(e.dtype, w.dtype)
    dtype = np.result_type(kinds, "f8") if kinds.kind in "biu" else kinds
    total = _reduce("sum", Array(w), axis, keepdims, dtype)
    weighted = _reduce("sum", Array(call("multiply", e, _native.astype(w, dtype.str))), axis, keepdims, dtype)
    result = call("divide", weighted, total)
    return (Array(result), Array(total)) if returned else Array(result)


def allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Array:
    """Whether all elements are close, as a lazy boolean.

    Parameters
    ----------
    a, b : array_like
        The arrays, which broadcast.
    rtol, atol : float
        Relative and absolute tolerance.
    equal_nan : bool
        Whether NaN equals NaN.

    Returns
    -------
    Array
        Without axes.

    Examples
    --------
    >>> import pantile.array as da
    >>> bool(da.allclose(da.ones(3), 1.0).compute())
    True
    """
    return all(isclose(a, b, rtol, atol, equal_nan))


def _whole_axes(
    function: Callable[..., Any], name: str, a: Any, axis: Any, keepdims: bool, dtype: Any
) -> Array:
    """A NumPy function that needs all elements along the axes at once, on blocks that have them."""
    e = as_expr(a)
    if axis is None:
        e = _native.reshape(e, (-1,))
        axes: tuple[int, ...] = (0,)
    else:
        axes = axis_tuple(axis, e.ndim)
    ndim = e.ndim
    kept = [k for k in range(ndim) if k not in axes]
    out_axes: dict[int, int] = {}
    chunks: list[tuple[int | None, ...]] = []
    for k in range(ndim):
        if k in kept:
            out_axes[k] = len(chunks)
            chunks.append(e.chunks[k])
        elif keepdims and axis is not None:
            chunks.append((1,))
    along: list[tuple[Any, ...]] = [
        ("block", out_axes[k]) if k in out_axes else ("whole",) for k in range(ndim)
    ]
    keep = keepdims and axis is not None

    def on_block(block_id: Any, block: Any) -> Any:
        return function(block, axis=axes, keepdims=keep)

    cuts = tuple(chunks)
    r = _native.blockwise(on_block, name, [(e, along)], cuts, cuts, dtype_text(dtype))
    if keepdims and axis is None:
        r = _native.expand_dims(r, tuple(range(as_expr(a).ndim)))
    return Array(r)


def _mean_dtype(a: Any) -> Any:
    dtype = np.dtype(as_expr(a).dtype)
    if dtype.kind == "M":
        raise TypeError(f"moments have no mean, so there is no median of {dtype}: subtract an origin first")
    return dtype if dtype.kind in "fcm" else np.dtype("f8")


def median(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
    """Median over axes, by NumPy on blocks that hold all elements along them.

    Parameters
    ----------
    a : array_like
        The array.
    axis : int, tuple of int or None
        The axes; None needs all elements in one block.
    out : Array or numpy.ndarray, optional
        Takes the result.
    keepdims : bool
        Whether reduced axes stay, with length one.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.median(da.asarray([[1.0, 5.0, 2.0]]), axis=1).compute()
    array([2.])
    """
    return finish([_whole_axes(np.median, "median", a, axis, keepdims, _mean_dtype(a))._expr], "median", out)


def nanmedian(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
    """Median of the numbers over axes, by NumPy on blocks that hold all elements along them.

    Parameters
    ----------
    a : array_like
        The array.
    axis : int, tuple of int or None
        The axes; None needs all elements in one block.
    out : Array or numpy.ndarray, optional
        Takes the result.
    keepdims : bool
        Whether reduced axes stay, with length one.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import numpy as np
    >>> import pantile.array as da
    >>> da.nanmedian(da.asarray([[1.0, np.nan, 2.0]]), axis=1).compute()
    array([1.5])
    """
    return finish(
        [_whole_axes(np.nanmedian, "nanmedian", a, axis, keepdims, _mean_dtype(a))._expr], "nanmedian", out
    )


def _scan(name: str, a: Any, axis: Any, dtype: Any, out: Any, product: bool, skip_nan: bool = False) -> Array:
    e = as_expr(a)
    if axis is None:
        e = _native.reshape(e, (-1,))
        axis = 0
    elif e.ndim == 0:
        axis_index(axis, 1)
        e, axis = _native.reshape(e, (1,)), 0
    if skip_nan and np.dtype(e.dtype).kind in "fc":
        neutral = _native.astype(_native.fill(int(product), "<i8", ()), e.dtype)
        e = call("where", call("isnan", e), neutral, e)
    r = _native.scan(e, axis_index(axis, e.ndim), product, None if dtype is None else dtype_text(dtype))
    return finish([r], name, out)


def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Array:
    """Running sum along an axis.

    Parameters
    ----------
    a : array_like
        The array.
    axis : int or None
        The axis; None flattens first.
    dtype : dtype, optional
        The dtype to compute in.
    out : Array or numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.cumsum(da.arange(5, chunks=2)).compute()
    array([ 0,  1,  3,  6, 10])
    """
    return _scan("cumsum", a, axis, dtype, out, False)


def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Array:
    """Running product along an axis.

    Parameters
    ----------
    a : array_like
        The array.
    axis : int or None
        The axis; None flattens first.
    dtype : dtype, optional
        The dtype to compute in.
    out : Array or numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.cumprod(da.asarray([1, 2, 3])).compute()
    array([1, 2, 6])
    """
    return _scan("cumprod", a, axis, dtype, out, True)


def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Array:
    """Running sum along an axis, NaN counting as zero.

    Parameters
    ----------
    a : array_like
        The array.
    axis : int or None
        The axis; None flattens first.
    dtype : dtype, optional
        The dtype to compute in.
    out : Array or numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import numpy as np
    >>> import pantile.array as da
    >>> da.nancumsum(da.asarray([1.0, np.nan, 3.0])).compute()
    array([1., 1., 4.])
    """
    return _scan("nancumsum", a, axis, dtype, out, False, True)


def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Array:
    """Running product along an axis, NaN counting as one.

    Parameters
    ----------
    a : array_like
        The array.
    axis : int or None
        The axis; None flattens first.
    dtype : dtype, optional
        The dtype to compute in.
    out : Array or numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import numpy as np
    >>> import pantile.array as da
    >>> da.nancumprod(da.asarray([2.0, np.nan, 3.0])).compute()
    array([2., 2., 6.])
    """
    return _scan("nancumprod", a, axis, dtype, out, True, True)
