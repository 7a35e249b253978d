"""Elementwise functions.

NumPy's ufuncs are not written here: each is made from its row of the operation catalogue, with NumPy's signature. What
NumPy has as ordinary functions, and compositions of several operations, follow below.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pantile import _native
from pantile._native import Expr
from pantile.array.core import Array, argument, as_expr, dtype_text

__all__ = [
    "angle",
    "around",
    "astype",
    "clip",
    "imag",
    "isclose",
    "iscomplex",
    "isreal",
    "nan_to_num",
    "real",
    "round",
    "sinc",
    "where",
]

if TYPE_CHECKING:
    # The generated functions, for type checkers.
    def __getattr__(name: str) -> Any: ...


def call(name: str, *args: Any) -> Expr:
    """One operation of the catalogue with one result, on operands."""
    return _native.map(name, args)[0]


def finish(results: Sequence[Expr], name: str, out: Any, where: Any = True) -> Any:
    """Puts results where `out` and `where` say, and gives what the caller returns."""
    outs = out if isinstance(out, tuple) else (out,) if out is not None else (None,) * len(results)
    if len(outs) != len(results):
        raise ValueError(
            f"{name} has {len(results)} results, but `out` has {len(outs)} entries: use a tuple, with None where a new "
            f"array is wanted"
        )
    if where is not True and any(o is None for o in outs):
        raise ValueError(
            f"{name}: `where` needs `out`, which gives the values of the positions where it is False; without, "
            f"NumPy leaves them to chance. Use where(condition, {name}(...), other) to choose them"
        )
    finished = [
        Array(e) if o is None else _put(e, name, o, where) for e, o in zip(results, outs, strict=True)
    ]
    return finished[0] if len(finished) == 1 else tuple(finished)


def _put(e: Expr, name: str, out: Any, where: Any) -> Any:
    if isinstance(out, np.ndarray):
        if where is not True:
            e = call("where", argument(where), e, argument(out.copy()))
        if None in e.shape or np.broadcast_shapes(out.shape, e.shape) != out.shape:  # type: ignore[arg-type]
            raise ValueError(
                f"non-broadcastable output operand with shape {out.shape} doesn't match the broadcast shape {e.shape}"
            )
        if not np.can_cast(e.dtype, out.dtype, "same_kind"):
            raise TypeError(
                f"Cannot cast ufunc '{name}' output from {np.dtype(e.dtype)!r} to {out.dtype!r} "
                f"with casting rule 'same_kind'"
            )
        np.copyto(out, Array(e).compute(), casting="same_kind")
        return out
    if not isinstance(out, Array):
        raise TypeError(f"{name}: `out` must be an array, not {type(out).__name__}")
    if where is not True:
        e = call("where", argument(where), _cast_same_kind(e, out, name), out._expr)
    if e.shape != out.shape and None not in e.shape and None not in out.shape:
        wide = np.broadcast_shapes(out.shape, e.shape)  # type: ignore[arg-type]
        if wide == out.shape:
            e = _native.broadcast_to(e, out.chunks)
    out._rebind(e, name)
    return out


def _cast_same_kind(e: Expr, out: Array, name: str) -> Expr:
    if e.dtype != out._expr.dtype and np.can_cast(e.dtype, out._expr.dtype, "same_kind"):
        return _native.astype(e, out._expr.dtype)
    return e


def apply(name: str, args: Sequence[Any], out: Any = None, where: Any = True, dtype: Any = None) -> Any:
    """An operation of the catalogue, with the keywords that ufuncs have."""
    operands = [argument(a) for a in args]
    results = _native.map(name, operands)
    if dtype is not None:
        wanted = dtype_text(dtype)
        if any(e.dtype != wanted for e in results):
            results = _native.map(name, [_with_dtype(name, a, wanted) for a in operands])
            if any(e.dtype != wanted for e in results):
                raise TypeError(
                    f"No loop matching the specified signature and casting was found for ufunc {name}"
                )
    return finish(results, name, out, where)


def _with_dtype(name: str, value: Any, wanted: str) -> Any:
    if isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic):
        return np.dtype(wanted).type(value)
    e = value if isinstance(value, Expr) else as_expr(value)
    if not np.can_cast(e.dtype, wanted, "same_kind"):
        raise TypeError(
            f"Cannot cast ufunc '{name}' input from {np.dtype(e.dtype)!r} to {np.dtype(wanted)!r} "
            f"with casting rule 'same_kind'"
        )
    return _native.astype(e, wanted)


_INTEGER = ("invert", "bitwise_count")
_INTEGER_PAIRS = (
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "left_shift",
    "right_shift",
    "gcd",
    "lcm",
    "ldexp",
)


def _docstring(row: dict[str, Any], shown: str) -> str:
    names = ["x"] if row["nin"] == 1 else [f"x{i + 1}" for i in range(row["nin"])]
    returns = "Array" if row["nout"] == 1 else f"tuple of {row['nout']} arrays"
    inputs = "[1, 2, 4]" if row["name"] in _INTEGER + _INTEGER_PAIRS else "[1.0, 2.0, 4.0]"
    if row["name"] == "isnat":
        inputs = 'np.array(["NaT", "2000-01-01"], "M8[D]")'
    second = "" if row["nin"] == 1 else ", 2" if row["name"] in _INTEGER_PAIRS else ", 2.0"
    import_numpy = ">>> import numpy as np\n    " if "np." in inputs else ""
    result = "[r.shape for r in result]" if row["nout"] > 1 else "result.shape"
    shape = "(2,)" if "np." in inputs else "(3,)"
    answer = f"[{shape}, {shape}]" if row["nout"] > 1 else shape
    accuracy = row.get("accuracy")
    notes = f"\n    Notes\n    -----\n    Accuracy: {accuracy}.\n" if accuracy else ""
    symbol = f" The operator ``{row['symbol']}``." if row.get("symbol") else ""
    return f"""{row["doc"].replace("`", "``")}{symbol}

    As `numpy.{shown}`, elementwise and with broadcasting.

    Parameters
    ----------
    {", ".join(names)} : Array, array_like or number
        Arguments; their shapes broadcast.
    out : Array or numpy.ndarray, optional
        Takes the result: a lazy array gets it as its new expression, a NumPy array is computed into.
    where : Array or array_like of bool, optional
        Where to put the result into `out`, which it needs; elsewhere `out` keeps its values.
    dtype : dtype, optional
        The dtype to compute with.

    Returns
    -------
    {returns}
        Lazy, of the broadcast shape.
{notes}
    Examples
    --------
    {import_numpy}>>> import pantile.array as da
    >>> result = da.{shown}(da.asarray({inputs}){second})
    >>> {result}
    {answer}
    """


def _make(row: dict[str, Any], shown: str) -> Callable[..., Any]:
    name, nin = row["name"], row["nin"]
    names = ["x"] if nin == 1 else [f"x{i + 1}" for i in range(nin)]

    def function(*args: Any, out: Any = None, where: Any = True, dtype: Any = None) -> Any:
        if len(args) != nin:
            # NumPy takes outputs by position too.
            if nin < len(args) <= nin + row["nout"] and out is None:
                out = args[nin:] + (None,) * (nin + row["nout"] - len(args))
                args = args[:nin]
            else:
                raise TypeError(f"{shown}() takes {nin} positional arguments ({len(args)} given)")
        return apply(name, args, out, where, dtype)

    kinds = inspect.Parameter
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [kinds(n, kinds.POSITIONAL_ONLY) for n in names]
        + [kinds("out", kinds.POSITIONAL_OR_KEYWORD, default=None)]
        + [
            kinds("where", kinds.KEYWORD_ONLY, default=True),
            kinds("dtype", kinds.KEYWORD_ONLY, default=None),
        ]
    )
    function.__name__ = function.__qualname__ = shown
    function.__module__ = __name__
    function.__doc__ = _docstring(row, shown)
    return function


UFUNCS: dict[str, str] = {}
"""NumPy's names of the generated functions, aliases included, and the catalogue's names."""

for _row in _native.operations():
    if _row["is_ufunc"]:
        for _name in (_row["name"], *_row["aliases"]):
            UFUNCS[_name] = _row["name"]
            globals()[_name] = _make(_row, _name)
            __all__ += [_name]


def astype(x: Any, dtype: Any, /, *, casting: Any = "unsafe", copy: bool = True) -> Array:
    """An array converted to another dtype.

    Parameters
    ----------
    x : array_like
        The array.
    dtype : dtype
        The dtype; another byte order than the machine's is ignored.
    casting : {'no', 'equiv', 'safe', 'same_kind', 'unsafe'}
        What conversions are allowed.
    copy : bool
        Has no effect: expressions never change.

    Returns
    -------
    Array
        Of the same shape.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.astype(da.arange(3), "float32").compute()
    array([0., 1., 2.], dtype=float32)
    """
    e = as_expr(x)
    wanted = dtype_text(dtype)
    if e.dtype == wanted:
        return Array(e)
    if not np.can_cast(e.dtype, wanted, casting):
        raise TypeError(
            f"Cannot cast array data from {np.dtype(e.dtype)!r} to {np.dtype(wanted)!r} according to the rule {casting!r}"
        )
    return Array(_native.astype(e, wanted))


def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """Elements of `x` where the condition holds, of `y` elsewhere. With the condition alone: `nonzero` of it.

    Parameters
    ----------
    condition, x, y : Array, array_like or number
        Their shapes broadcast.

    Returns
    -------
    Array, or tuple of Array
        Of the common dtype of `x` and `y`; with the condition alone the positions where it holds, an array for each axis.

    Examples
    --------
    >>> import pantile.array as da
    >>> x = da.arange(5)
    >>> da.where(x > 2, x, -1).compute()
    array([-1, -1, -1,  3,  4])
    """
    if x is None and y is None:
        from pantile.array.indexing import nonzero

        return nonzero(condition)
    if x is None or y is None:
        raise ValueError("either both or neither of x and y should be given")
    return Array(call("where", argument(condition), argument(x), argument(y)))


def clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None
) -> Array:
    """Values limited to a range.

    Parameters
    ----------
    a : array_like
        The array.
    a_min, a_max : array_like or None
        The limits, which broadcast; None for no limit. Also as `min` and `max`.
    out : Array or numpy.ndarray, optional
        Takes the result.
    min, max : array_like or None
        Other names of the limits.

    Returns
    -------
    Array
        NaN stays NaN.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.clip(da.arange(6), 1, 4).compute()
    array([1, 1, 2, 3, 4, 4])
    """
    if (min is not None and a_min is not None) or (max is not None and a_max is not None):
        raise ValueError("give the limits as `a_min` and `a_max` or as `min` and `max`, not both")
    low, high = a_min if min is None else min, a_max if max is None else max
    x = argument(a)
    kind = x.dtype if hasattr(x, "dtype") else None
    if kind is not None and np.dtype(kind).kind in "iu":
        # A bound beyond the dtype's own is no bound.
        own = np.iinfo(kind)
        low = None if type(low) is int and low <= own.min else low
        high = None if type(high) is int and high >= own.max else high
    if low is None and high is None:
        return finish([as_expr(a)], "clip", out)
    if low is None:
        return finish([call("minimum", x, argument(high))], "clip", out)
    if high is None:
        return finish([call("maximum", x, argument(low))], "clip", out)
    return finish([call("clip", x, argument(low), argument(high))], "clip", out)


def round(a: Any, decimals: int = 0, out: Any = None) -> Array:
    """Rounded to a number of decimals, halves to the even neighbour.

    Parameters
    ----------
    a : array_like
        The array.
    decimals : int
        How many; negative ones round to tens, hundreds, ...
    out : Array or numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    Array
        Of the same dtype (float16 for booleans).

    Examples
    --------
    >>> import pantile.array as da
    >>> da.round(da.asarray([0.125, 2.5, -1.55]), 1).compute()
    array([ 0.1,  2.5, -1.6])
    """
    e = as_expr(a)
    decimals = int(decimals)
    kind = np.dtype(e.dtype).kind
    if kind == "c":
        re, im = round(Array(call("real", e)), decimals), round(Array(call("imag", e)), decimals)
        unit = np.dtype(e.dtype).type(1j)
        return finish([call("add", call("multiply", im._expr, unit), re._expr)], "round", out)
    if decimals == 0 or (kind in "biu" and decimals > 0):
        return finish([e if kind in "iu" else call("rint", e)], "round", out)
    if kind not in "iuf":
        raise TypeError(f"ufunc 'rint' not supported for dtype {np.dtype(e.dtype)}")
    scale = 10.0 ** (decimals if decimals > 0 else -decimals)  # `abs` is an array function here
    first, second = ("multiply", "divide") if decimals > 0 else ("divide", "multiply")
    r = call(second, call("rint", call(first, e, scale)), scale)
    return finish([_native.astype(r, e.dtype)], "round", out)


around = round


def real(val: Any) -> Array:
    """The real parts.

    Parameters
    ----------
    val : array_like
        The array.

    Returns
    -------
    Array
        Of the parts' dtype.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.real(da.asarray([1 + 2j])).compute()
    array([1.])
    """
    return Array(call("real", as_expr(val)))


def imag(val: Any) -> Array:
    """The imaginary parts; zeros for what is not complex.

    Parameters
    ----------
    val : array_like
        The array.

    Returns
    -------
    Array
        Of the parts' dtype.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.imag(da.asarray([1 + 2j])).compute()
    array([2.])
    """
    return Array(call("imag", as_expr(val)))


def angle(z: Any, deg: bool = False) -> Array:
    """The angles from the positive real axis.

    Parameters
    ----------
    z : array_like
        Real or complex numbers.
    deg : bool
        Whether in degrees instead of radians.

    Returns
    -------
    Array
        In (-π, π].

    Examples
    --------
    >>> import pantile.array as da
    >>> da.angle(da.asarray([1j, -1]), deg=True).compute()
    array([ 90., 180.])
    """
    e = call("angle", as_expr(z))
    return Array(call("multiply", e, 180 / np.pi) if deg else e)


def sinc(x: Any) -> Array:
    """sin(πx) / (πx), which is 1 at 0.

    Parameters
    ----------
    x : array_like
        The array.

    Returns
    -------
    Array
        Of the same shape.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.sinc(da.zeros(2)).compute()
    array([1., 1.])
    """
    return Array(call("sinc", as_expr(x)))


def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Array:
    """NaN and infinities replaced by numbers.

    Parameters
    ----------
    x : array_like
        The array.
    copy : bool
        False replaces the expression of `x`, which must be a lazy array.
    nan, posinf, neginf : number or array_like
        The replacements; None stands for the largest (most negative) number of the dtype.

    Returns
    -------
    Array
        Of the same dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import pantile.array as da
    >>> da.nan_to_num(da.asarray([np.nan, 1.0, np.inf]), posinf=9.0).compute()
    array([0., 1., 9.])
    """
    e = as_expr(x)
    dtype = np.dtype(e.dtype)
    if dtype.kind == "c":
        parts = [nan_to_num(Array(call(p, e)), True, nan, posinf, neginf)._expr for p in ("real", "imag")]
        # Not re + im * 1j, which makes NaN of an infinite replacement.
        r = _combine(parts[0], parts[1], dtype)
    elif dtype.kind != "f":
        r = e
    else:
        info = np.finfo(dtype)
        high = info.max if posinf is None else posinf
        low = info.min if neginf is None else neginf
        infinite = call("isinf", e)
        r = call("where", call("isnan", e), argument(nan), e)
        r = call("where", call("logical_and", infinite, call("greater", e, 0)), argument(high), r)
        r = call("where", call("logical_and", infinite, call("less", e, 0)), argument(low), r)
        r = _native.astype(r, e.dtype)
    if copy:
        return Array(r)
    return finish([r], "nan_to_num", x)


def _combine(re: Expr, im: Expr, dtype: np.dtype[Any]) -> Expr:
    unit = dtype.type(1j)
    return call("add", _native.astype(re, dtype.str), call("multiply", _native.astype(im, dtype.str), unit))


def isclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Array:
    """Whether ``|a - b| <= atol + rtol * |b|``, elementwise.

    Parameters
    ----------
    a, b : array_like
        The arrays, which broadcast.
    rtol, atol : array_like
        Relative and absolute tolerance.
    equal_nan : bool
        Whether NaN equals NaN.

    Returns
    -------
    Array
        Of booleans.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.isclose(da.asarray([1.0, 2.0]), [1.0 + 1e-9, 2.1]).compute()
    array([ True, False])
    """
    x, y = argument(a), as_expr(b)
    if np.dtype(y.dtype).kind in "biu":
        y = call("multiply", y, np.float64(1.0))
    bound = call("add", argument(atol), call("multiply", argument(rtol), call("absolute", y)))
    near = call("less_equal", call("absolute", call("subtract", x, y)), bound)
    result = call("logical_or", call("logical_and", near, call("isfinite", y)), call("equal", x, y))
    if equal_nan:
        result = call("logical_or", result, call("logical_and", call("isnan", x), call("isnan", y)))
    return Array(result)


def isreal(x: Any) -> Array:
    """Whether the imaginary part is zero.

    Parameters
    ----------
    x : array_like
        The array.

    Returns
    -------
    Array
        Of booleans.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.isreal(da.asarray([1 + 0j, 1j])).compute()
    array([ True, False])
    """
    return Array(call("equal", call("imag", as_expr(x)), 0))


def iscomplex(x: Any) -> Array:
    """Whether the imaginary part is not zero.

    Parameters
    ----------
    x : array_like
        The array.

    Returns
    -------
    Array
        Of booleans.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.iscomplex(da.asarray([1 + 0j, 1j])).compute()
    array([False,  True])
    """
    return Array(call("not_equal", call("imag", as_expr(x)), 0))
