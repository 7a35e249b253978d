"""Making arrays: from NumPy and from whatever slices, filled, counted, and from coordinates."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pantile import _native
from pantile._native import Expr
from pantile.array.chunking import Chunks, normalize, shape_argument
from pantile.array.core import Array, as_expr, dtype_text
from pantile.array.elementwise import call

__all__ = [
    "arange",
    "array",
    "asanyarray",
    "asarray",
    "diag",
    "empty",
    "empty_like",
    "eye",
    "from_array",
    "fromfunction",
    "full",
    "full_like",
    "identity",
    "indices",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tri",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]


def is_native(dtype: np.dtype[Any]) -> bool:
    """Whether the engine has operations for a dtype; others are only passed to Python functions."""
    return dtype.kind in "biufcmM" and dtype.char not in "gG"


def from_array(x: Any, chunks: Any = "auto", *, name: Any = None, lock: Any = False) -> Array:
    """A lazy array over anything with ``shape``, ``dtype`` and slices.

    NumPy arrays are used where they lie, without a copy: do not change them before the result has been computed. h5py datasets
    and zarr arrays in folders are read by the native readers, which decode in parallel, where their filters allow it. Other
    objects are sliced under the GIL.

    Parameters
    ----------
    x : array_like or any object that slices
        The source.
    chunks : chunks
        How to cut: a length, a tuple with an entry an axis, a dictionary, -1 (whole axes), ``"auto"`` (multiples of what `x` is
        stored in, of about ``config.get("array.chunk_size")``), or a size such as ``"64MB"``.
    name : object
        Has no effect; there for code written for Dask.
    lock : bool
        Whether slices are taken one at a time, for objects that cannot be read from several threads.

    Returns
    -------
    Array
        Of the source's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import pantile.array as da
    >>> x = da.from_array(np.arange(10), chunks=4)
    >>> x.chunks
    ((4, 4, 2),)
    """
    if isinstance(x, Array):
        raise ValueError("the array is lazy already: use x.rechunk(chunks) to cut it in another way")
    if isinstance(x, (list, tuple, set, frozenset)) or np.isscalar(x) or not hasattr(x, "shape"):
        x = np.asarray(x)
    kind = type(x).__module__.partition(".")[0]
    if kind == "h5py":
        from pantile.array import hdf5

        return hdf5.from_dataset(x, chunks)
    if kind == "zarr":
        from pantile.array import sources

        return sources.from_zarr_object(x, chunks)
    if isinstance(x, np.generic):
        x = np.asarray(x)
    dtype, shape = np.dtype(x.dtype), tuple(operator.index(n) for n in x.shape)
    if type(x) in (np.ndarray, np.memmap) and is_native(dtype):
        cuts = normalize(chunks, shape, dtype)
        return Array(_native.from_numpy(x, cuts))
    return from_object(x, chunks, None, bool(lock), f"{type(x).__module__}.{type(x).__qualname__}")


def from_object(x: Any, chunks: Any, stored: Sequence[int] | None, lock: bool, describe: str) -> Array:
    """An array over an object that is sliced under the GIL; `describe` is what `explain` says about it."""
    dtype, shape = np.dtype(x.dtype), tuple(operator.index(n) for n in x.shape)
    cuts = normalize(chunks, shape, dtype, stored)
    if not is_native(dtype):
        return _foreign(x, cuts, dtype)
    return Array(_native.from_python(x, shape, dtype_text(dtype), cuts, stored, lock, describe))


def _foreign(x: Any, cuts: Chunks, dtype: np.dtype[Any]) -> Array:
    """Strings and objects: blocks are slices that only Python functions can work on."""
    ends = [np.cumsum([n or 0 for n in c]).tolist() for c in cuts]

    def block(block_id: tuple[int, ...]) -> Any:
        key = tuple(slice(e[i] - (c[i] or 0), e[i]) for c, e, i in zip(cuts, ends, block_id, strict=True))
        return np.asarray(x[key])

    return Array(_native.blockwise(block, "source", [], cuts, cuts, dtype.str))


def asarray(a: Any, dtype: Any = None, order: Any = None, *, chunks: Any = "auto", like: Any = None) -> Array:
    """A lazy array of whatever is given; a lazy array as it is.

    Parameters
    ----------
    a : array_like
        Numbers, sequences, NumPy arrays, anything that `from_array` takes.
    dtype : dtype, optional
        The dtype to convert to.
    order, like : object
        Have no effect.
    chunks : chunks
        How to cut what is not lazy yet.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.asarray([[1, 2], [3, 4]]).sum(axis=0).compute()
    array([4, 6])
    """
    if isinstance(a, Array):
        return a if dtype is None else a.astype(dtype)
    if isinstance(a, (list, tuple)) and _holds_arrays(a):
        from pantile.array.manipulation import stack

        stacked = stack([asarray(v) for v in a])
        return stacked if dtype is None else stacked.astype(dtype)
    if isinstance(a, (list, tuple, bool, int, float, complex)):
        return from_array(np.asarray(a, dtype=dtype), chunks=chunks)
    result = from_array(a, chunks=chunks)
    return result if dtype is None else result.astype(dtype)


def _holds_arrays(values: Sequence[Any]) -> bool:
    return any(isinstance(v, Array) or (isinstance(v, (list, tuple)) and _holds_arrays(v)) for v in values)


def asanyarray(a: Any, dtype: Any = None, order: Any = None, *, chunks: Any = "auto") -> Array:
    """As `asarray`: there are no subclasses.

    Parameters
    ----------
    a : array_like
        The values.
    dtype : dtype, optional
        The dtype to convert to.
    order : object
        Has no effect.
    chunks : chunks
        How to cut what is not lazy yet.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.asanyarray([1, 2]).shape
    (2,)
    """
    return asarray(a, dtype, order, chunks=chunks)


def array(object: Any, dtype: Any = None, *, copy: Any = True, ndmin: int = 0, chunks: Any = "auto") -> Array:
    """A lazy array of a copy of the values.

    Parameters
    ----------
    object : array_like
        The values.
    dtype : dtype, optional
        The dtype to convert to.
    copy : bool
        Whether a NumPy array is copied, so that it may change afterwards.
    ndmin : int
        The least number of axes; new ones come first.
    chunks : chunks
        How to cut what is not lazy yet.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.array([1, 2], ndmin=2).shape
    (1, 2)
    """
    if copy and isinstance(object, np.ndarray):
        object = object.copy()
    result = asarray(object, dtype, chunks=chunks)
    if result.ndim < ndmin:
        result = Array(_native.expand_dims(result._expr, tuple(range(ndmin - result.ndim))))
    return result


# ---- filled ----


def _filled(shape: Any, value: Any, dtype: Any, chunks: Any) -> Array:
    lengths = shape_argument(shape)
    kind = np.dtype(dtype)
    if not is_native(kind):
        raise _native.UnsupportedError(
            f"arrays of dtype {kind} have no native operations; use from_array on a NumPy array"
        )
    return Array(_native.fill(value, dtype_text(kind), normalize(chunks, lengths, kind)))


def zeros(shape: Any, dtype: Any = float, order: str = "C", *, chunks: Any = "auto") -> Array:
    """An array of zeros.

    Parameters
    ----------
    shape : int or tuple of int
        The shape.
    dtype : dtype
        The dtype.
    order : str
        Has no effect.
    chunks : chunks
        How to cut it; see `from_array`.

    Returns
    -------
    Array
        Takes no memory before it is computed, and none inside an expression.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.zeros((2, 2)).compute()
    array([[0., 0.],
           [0., 0.]])
    """
    return _filled(shape, 0, dtype, chunks)


def ones(shape: Any, dtype: Any = float, order: str = "C", *, chunks: Any = "auto") -> Array:
    """An array of ones.

    Parameters
    ----------
    shape : int or tuple of int
        The shape.
    dtype : dtype
        The dtype.
    order : str
        Has no effect.
    chunks : chunks
        How to cut it; see `from_array`.

    Returns
    -------
    Array
        Takes no memory before it is computed, and none inside an expression.

    Examples
    --------
    >>> import pantile.array as da
    >>> float(da.ones(200000, chunks=1000).sum().compute())
    200000.0
    """
    return _filled(shape, 1, dtype, chunks)


def empty(shape: Any, dtype: Any = float, order: str = "C", *, chunks: Any = "auto") -> Array:
    """An array whose values do not matter: here they are zeros.

    Parameters
    ----------
    shape : int or tuple of int
        The shape.
    dtype : dtype
        The dtype.
    order : str
        Has no effect.
    chunks : chunks
        How to cut it; see `from_array`.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.empty((3, 4), dtype="int8").shape
    (3, 4)
    """
    return _filled(shape, 0, dtype, chunks)


def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", *, chunks: Any = "auto") -> Array:
    """An array of one value.

    Parameters
    ----------
    shape : int or tuple of int
        The shape.
    fill_value : number or array_like
        The value; an array is broadcast.
    dtype : dtype, optional
        The dtype; by default that of the value.
    order : str
        Has no effect.
    chunks : chunks
        How to cut it; see `from_array`.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.full(3, 7).compute()
    array([7, 7, 7])
    """
    if isinstance(fill_value, Array) or np.ndim(fill_value):
        e = as_expr(fill_value)
        if dtype is not None:
            e = _native.astype(e, dtype_text(dtype))
        lengths = shape_argument(shape)
        return Array(_native.broadcast_to(e, normalize(chunks, lengths, np.dtype(e.dtype))))
    value = np.asarray(fill_value)
    kind = value.dtype if dtype is None else np.dtype(dtype)
    if kind.kind in "mM":
        return _filled(shape, value.astype(kind)[()], kind, chunks)
    if dtype is not None and isinstance(fill_value, int):
        value = np.asarray(fill_value, dtype=kind) if kind.kind in "iu" else value
    return _filled(shape, value.astype(kind)[()], kind, chunks)


def _like(a: Any, dtype: Any, shape: Any, chunks: Any) -> tuple[Any, Any, Any]:
    e = as_expr(a)
    kind = np.dtype(e.dtype) if dtype is None else dtype
    if shape is not None:
        return shape, kind, "auto" if chunks is None else chunks
    if None in e.shape:
        raise ValueError(
            f"the shape {e.shape} is not known after a boolean mask: call compute_chunk_sizes() first"
        )
    return e.shape, kind, e.chunks if chunks is None else chunks


def zeros_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, chunks: Any = None
) -> Array:
    """An array of zeros like another one.

    Parameters
    ----------
    a : array_like
        Gives shape, dtype and chunks where they are not given.
    dtype : dtype, optional
        The dtype.
    order, subok : object
        Have no effect.
    shape : int or tuple of int, optional
        The shape.
    chunks : chunks, optional
        How to cut it.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.zeros_like(da.arange(3)).compute()
    array([0, 0, 0])
    """
    lengths, kind, cuts = _like(a, dtype, shape, chunks)
    return zeros(lengths, kind, chunks=cuts)


def ones_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, chunks: Any = None
) -> Array:
    """An array of ones like another one.

    Parameters
    ----------
    a : array_like
        Gives shape, dtype and chunks where they are not given.
    dtype : dtype, optional
        The dtype.
    order, subok : object
        Have no effect.
    shape : int or tuple of int, optional
        The shape.
    chunks : chunks, optional
        How to cut it.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.ones_like(da.arange(3)).compute()
    array([1, 1, 1])
    """
    lengths, kind, cuts = _like(a, dtype, shape, chunks)
    return ones(lengths, kind, chunks=cuts)


def empty_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, chunks: Any = None
) -> Array:
    """An array like another one, whose values do not matter.

    Parameters
    ----------
    a : array_like
        Gives shape, dtype and chunks where they are not given.
    dtype : dtype, optional
        The dtype.
    order, subok : object
        Have no effect.
    shape : int or tuple of int, optional
        The shape.
    chunks : chunks, optional
        How to cut it.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.empty_like(da.ones((2, 3))).shape
    (2, 3)
    """
    lengths, kind, cuts = _like(a, dtype, shape, chunks)
    return empty(lengths, kind, chunks=cuts)


def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    chunks: Any = None,
) -> Array:
    """An array of one value like another array.

    Parameters
    ----------
    a : array_like
        Gives shape, dtype and chunks where they are not given.
    fill_value : number or array_like
        The value.
    dtype : dtype, optional
        The dtype.
    order, subok : object
        Have no effect.
    shape : int or tuple of int, optional
        The shape.
    chunks : chunks, optional
        How to cut it.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.full_like(da.arange(3), 5).compute()
    array([5, 5, 5])
    """
    lengths, kind, cuts = _like(a, dtype, shape, chunks)
    return full(lengths, fill_value, kind, chunks=cuts)


# ---- counted ----


def _counter(length: int, chunks: Any, dtype: np.dtype[Any]) -> Expr:
    (cuts,) = normalize(chunks, (length,), dtype)
    return _native.coord(cuts)  # type: ignore[arg-type]


def _converted(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A number of this dtype; Python integers that do not fit are an OverflowError, as in NumPy."""
    return np.asarray(value, dtype) if isinstance(value, int) else np.asarray(value).astype(dtype)


def arange(
    start: Any,
    /,
    stop: Any = None,
    step: Any = 1,
    dtype: Any = None,
    *,
    chunks: Any = "auto",
    like: Any = None,
) -> Array:
    """Evenly spaced values from `start` to before `stop`.

    Parameters
    ----------
    start, stop, step : number
        As for `numpy.arange`; with one argument it is the stop.
    dtype : dtype, optional
        The dtype; by default the common one of the arguments.
    chunks : chunks
        How to cut it; see `from_array`.
    like : object
        Has no effect.

    Returns
    -------
    Array
        With ``ceil((stop - start) / step)`` elements, each ``start + i * delta``, where ``delta`` is the
        rounded difference of the first two, as in NumPy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.arange(2, 10, 3).compute()
    array([2, 5, 8])
    """
    if stop is None:
        start, stop = 0, start
    if step is None:
        step = 1
    if any(isinstance(v, (np.datetime64, np.timedelta64)) for v in (start, stop, step)):
        return from_array(np.arange(start, stop, step, dtype=dtype), chunks=chunks)
    if step == 0:
        raise ZeroDivisionError("division by zero: the step of arange is 0")
    kind = np.dtype(dtype) if dtype is not None else np.arange(start, start + step * 0, step).dtype
    if dtype is None:
        kind = np.result_type(
            *(
                np.asarray(v).dtype if isinstance(v, (np.generic, np.ndarray)) else type(v)
                for v in (start, stop, step)
            )
        )
    if kind.kind in "mM":
        return from_array(np.arange(start, stop, step, dtype=dtype), chunks=chunks)
    if kind.kind == "b":
        return from_array(np.arange(start, stop, step, dtype=dtype), chunks=chunks)
    if all(isinstance(v, (int, np.integer)) for v in (start, stop, step)):
        length = max(0, -((int(start) - int(stop)) // int(step)))
    else:
        quotient = (stop - start) / step
        # As NumPy counts complex numbers: both parts must go on.
        complex_ = isinstance(quotient, (complex, np.complexfloating))
        steps = [quotient.real, quotient.imag] if complex_ else [quotient]
        if not all(math.isfinite(s) for s in steps):
            raise ValueError("arange: cannot compute length")
        length = max(0, min(math.ceil(s) for s in steps))
    # NumPy converts the first two values to the dtype, and counts by their difference.
    first = _converted(start, kind) if length else np.zeros((), kind)
    second = _converted(start + step, kind) if length > 1 else first
    counter = _counter(length, chunks, kind)
    if kind.kind in "iu":
        with np.errstate(over="ignore"):
            delta = np.subtract(second, first)
        e = _native.astype(counter, dtype_text(kind))
        e = call("add", call("multiply", e, delta[()]), first[()])
        return Array(e)
    wide = np.result_type(kind, "f4") if kind == np.float16 else kind
    delta = (second.astype(wide) - first.astype(wide))[()]
    e = call(
        "add", call("multiply", _native.astype(counter, dtype_text(wide)), delta), first.astype(wide)[()]
    )
    return Array(_native.astype(e, dtype_text(kind)))


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    chunks: Any = "auto",
) -> Any:
    """Evenly spaced numbers over an interval.

    Parameters
    ----------
    start, stop : number or array_like
        The ends. Arrays give the numbers between each pair of their elements, and must be in memory.
    num : int
        How many numbers.
    endpoint : bool
        Whether `stop` is the last of them, exactly.
    retstep : bool
        Whether the spacing is returned too.
    dtype : dtype, optional
        The dtype; by default a floating one.
    axis : int
        Where the axis of the numbers is, if the ends are arrays.
    chunks : chunks
        How to cut it; see `from_array`.

    Returns
    -------
    Array, or (Array, float or numpy.ndarray)
        The numbers, and the spacing.

    Raises
    ------
    ValueError
        `num` is negative.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.linspace(0, 1, 5).compute()
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"Number of samples, {num}, must be non-negative.")
    if isinstance(start, Array) or isinstance(stop, Array):
        raise _native.UnsupportedError(
            "linspace takes numbers and NumPy arrays as its ends; for lazy ones broadcast start + t * (stop - start)"
        )
    start, stop = np.asarray(start)[()] * 1.0, np.asarray(stop)[()] * 1.0
    if np.ndim(start) or np.ndim(stop):
        return _linspaces(start, stop, num, endpoint, retstep, dtype, axis, chunks)
    kind = np.result_type(start, stop, float(num))
    wanted = kind if dtype is None else np.dtype(dtype)
    div = num - 1 if endpoint else num
    counter = _native.astype(_counter(num, chunks, wanted), dtype_text(kind))
    delta = np.asarray(stop - start).astype(kind)[()]
    step: Any = np.nan
    if div > 0:
        step = delta / div
        if step == 0:
            e = call("multiply", call("divide", counter, np.asarray(div).astype(kind)[()]), delta)
        else:
            e = call("multiply", counter, step)
    else:
        e = call("multiply", counter, delta)
    e = call("add", e, np.asarray(start).astype(kind)[()])
    if endpoint and num > 1:
        last = call("equal", _native.coord(e.chunks[0]), num - 1)  # type: ignore[arg-type]
        e = call("where", last, np.asarray(stop).astype(kind)[()], e)
    if np.dtype(wanted).kind in "iu":
        e = call("floor", e)
    result = Array(_native.astype(e, dtype_text(wanted)))
    return (result, step) if retstep else result


def _linspaces(
    start: Any, stop: Any, num: int, endpoint: bool, retstep: bool, dtype: Any, axis: int, chunks: Any
) -> Any:
    """`linspace` between the elements of arrays."""
    from pantile.array.manipulation import moveaxis

    kind = np.result_type(start, stop, float(num))
    wanted = kind if dtype is None else np.dtype(dtype)
    start, stop = np.broadcast_arrays(start, stop)
    delta = np.asarray(stop - start).astype(kind)
    div = num - 1 if endpoint else num
    (cuts,) = normalize("auto", (num,), wanted)
    counter = _native.expand_dims(_native.coord(cuts), tuple(range(1, 1 + delta.ndim)))  # type: ignore[arg-type]
    position = _native.astype(counter, dtype_text(kind))
    step: Any = delta / div if div > 0 else np.full_like(delta, np.nan)
    if div <= 0:
        e = call("multiply", position, delta)
    elif (step == 0).any():
        e = call("multiply", call("divide", position, float(div)), delta)
    else:
        e = call("multiply", position, step)
    e = call("add", e, start.astype(kind))
    if endpoint and num > 1:
        e = call("where", call("equal", counter, num - 1), stop.astype(kind), e)
    if np.dtype(wanted).kind in "iu":
        e = call("floor", e)
    result = moveaxis(Array(_native.astype(e, dtype_text(wanted))), 0, axis).rechunk(chunks)
    return (result, step) if retstep else result


# ---- from coordinates ----


def _coordinate(chunks: Chunks, axis: int, dtype: Any = None) -> Expr:
    """The coordinate along an axis, with length one along the others."""
    e = _native.coord(chunks[axis])  # type: ignore[arg-type]
    others = [k for k in range(len(chunks)) if k != axis]
    if dtype is not None:
        e = _native.astype(e, dtype_text(dtype))
    return _native.expand_dims(e, others) if others else e


def eye(
    N: int, M: int | None = None, k: int = 0, dtype: Any = float, order: str = "C", *, chunks: Any = "auto"
) -> Array:
    """Ones on a diagonal, zeros elsewhere.

    Parameters
    ----------
    N, M : int
        Rows and columns; as many columns as rows by default.
    k : int
        Which diagonal: 0 the main one, above it for positive numbers.
    dtype : dtype
        The dtype.
    order : str
        Has no effect.
    chunks : chunks
        How to cut it; see `from_array`.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.eye(2, 3, k=1, dtype=int).compute()
    array([[0, 1, 0],
           [0, 0, 1]])
    """
    shape = shape_argument((N, N if M is None else M))
    cuts = normalize(chunks, shape, np.dtype(dtype))
    on = call("equal", call("subtract", _coordinate(cuts, 1), _coordinate(cuts, 0)), operator.index(k))
    return Array(_native.astype(on, dtype_text(dtype)))


def identity(n: int, dtype: Any = None, *, chunks: Any = "auto") -> Array:
    """The identity matrix.

    Parameters
    ----------
    n : int
        Rows and columns.
    dtype : dtype, optional
        The dtype; float64 by default.
    chunks : chunks
        How to cut it; see `from_array`.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> float(da.identity(3).sum().compute())
    3.0
    """
    return eye(n, dtype=float if dtype is None else dtype, chunks=chunks)


def diag(v: Any, k: int = 0) -> Array:
    """A matrix with this diagonal, or the diagonal of a matrix.

    Parameters
    ----------
    v : array_like
        With one axis: the diagonal. With two: the matrix.
    k : int
        Which diagonal: 0 the main one, above it for positive numbers.

    Returns
    -------
    Array
        With two axes, or one.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.diag(da.asarray([1, 2])).compute()
    array([[1, 0],
           [0, 2]])
    """
    e = as_expr(v)
    if e.ndim == 2:
        from pantile.array.indexing import diagonal

        return diagonal(Array(e), k)
    if e.ndim != 1:
        raise ValueError("Input must be 1- or 2-d.")
    (n,) = e.shape
    if n is None:
        raise ValueError(
            "diag needs the length, which is not known after a boolean mask: call compute_chunk_sizes() first"
        )
    if k:
        from pantile.array.manipulation import pad

        before, after = max(k, 0), max(-k, 0)
        columns = as_expr(pad(Array(e), (before, after)))
        rows_long = columns.chunks
    else:
        columns, rows_long = e, e.chunks
    cuts = (rows_long[0], rows_long[0])
    on = call("equal", call("subtract", _coordinate(cuts, 1), _coordinate(cuts, 0)), k)
    zero = _native.astype(_native.fill(0, "|b1", ()), e.dtype)
    return Array(call("where", on, _native.expand_dims(columns, (0,)), zero))


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = float, *, chunks: Any = "auto") -> Array:
    """Ones on and below a diagonal, zeros above.

    Parameters
    ----------
    N, M : int
        Rows and columns; as many columns as rows by default.
    k : int
        Which diagonal.
    dtype : dtype
        The dtype.
    chunks : chunks
        How to cut it; see `from_array`.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.tri(2, 3, dtype=int).compute()
    array([[1, 0, 0],
           [1, 1, 0]])
    """
    shape = shape_argument((N, N if M is None else M))
    cuts = normalize(chunks, shape, np.dtype(dtype))
    return Array(_native.astype(_below(cuts, k), dtype_text(dtype)))


def _below(cuts: Chunks, k: int) -> Expr:
    return call("less_equal", call("subtract", _coordinate(cuts, 1), _coordinate(cuts, 0)), operator.index(k))


def _triangle(m: Any, k: int, lower: bool) -> Array:
    e = as_expr(m)
    if e.ndim == 1:
        e = _native.broadcast_to(e, (e.chunks[0], e.chunks[0]))
    if e.ndim == 0:
        raise ValueError("a triangle needs an array with axes")
    if None in e.shape[-2:]:
        raise ValueError("a triangle needs the shape: call compute_chunk_sizes() first")
    inside = _below(e.chunks[-2:], k if lower else k - 1)
    zero = _native.astype(_native.fill(0, "|b1", ()), e.dtype)
    return Array(call("where", inside, e, zero) if lower else call("where", inside, zero, e))


def tril(m: Any, k: int = 0) -> Array:
    """The matrix with zeros above a diagonal.

    Parameters
    ----------
    m : array_like
        One or more matrices, along the last two axes.
    k : int
        Which diagonal.

    Returns
    -------
    Array
        Of the same shape.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.tril(da.ones((2, 2), dtype=int)).compute()
    array([[1, 0],
           [1, 1]])
    """
    return _triangle(m, k, True)


def triu(m: Any, k: int = 0) -> Array:
    """The matrix with zeros below a diagonal.

    Parameters
    ----------
    m : array_like
        One or more matrices, along the last two axes.
    k : int
        Which diagonal.

    Returns
    -------
    Array
        Of the same shape.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.triu(da.ones((2, 2), dtype=int)).compute()
    array([[1, 1],
           [0, 1]])
    """
    return _triangle(m, k, False)


def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Array, ...]:
    """Coordinate arrays from coordinate vectors.

    Parameters
    ----------
    *xi : array_like
        The vectors.
    copy : bool
        Has no effect.
    sparse : bool
        Whether the results keep length one along the other axes.
    indexing : {'xy', 'ij'}
        Whether the first two axes are exchanged.

    Returns
    -------
    tuple of Array
        One for each vector.

    Examples
    --------
    >>> import pantile.array as da
    >>> x, y = da.meshgrid([1, 2, 3], [4, 5])
    >>> y.compute()
    array([[4, 4, 4],
           [5, 5, 5]])
    """
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    vectors = [as_expr(x) for x in xi]
    vectors = [_native.reshape(e, (-1,)) if e.ndim != 1 else e for e in vectors]
    n = len(vectors)
    order = list(range(n))
    if indexing == "xy" and n > 1:
        order[0], order[1] = 1, 0
    thin = []
    for e, axis in zip(vectors, order, strict=True):
        others = [k for k in range(n) if k != axis]
        thin.append(_native.expand_dims(e, others) if others else e)
    if sparse or n < 2:
        return tuple(Array(e) for e in thin)
    cuts: list[Any] = [None] * n
    for e, axis in zip(vectors, order, strict=True):
        cuts[axis] = e.chunks[0]
    return tuple(Array(_native.broadcast_to(e, tuple(cuts))) for e in thin)


def indices(dimensions: Any, dtype: Any = int, sparse: bool = False, *, chunks: Any = "auto") -> Any:
    """The coordinates of a grid.

    Parameters
    ----------
    dimensions : tuple of int
        The shape of the grid.
    dtype : dtype
        The dtype.
    sparse : bool
        Whether to return a tuple of arrays with length one along the other axes.
    chunks : chunks
        How to cut the grid.

    Returns
    -------
    Array or tuple of Array
        With a first axis for the coordinate's number.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.indices((2, 2)).compute()[0]
    array([[0, 0],
           [1, 1]])
    """
    shape = shape_argument(dimensions)
    cuts = normalize(chunks, shape, np.dtype(dtype))
    thin = [_coordinate(cuts, axis, dtype) for axis in range(len(shape))]
    if sparse:
        return tuple(Array(e) for e in thin)
    if not thin:
        return empty((0,), dtype=dtype)
    wide = [_native.expand_dims(_native.broadcast_to(e, cuts), (0,)) for e in thin]
    return Array(_native.concatenate(wide, 0, None))


def fromfunction(
    function: Callable[..., Any], shape: Any, *, dtype: Any = float, chunks: Any = "auto", **kwargs: Any
) -> Array:
    """An array whose values a function computes from the coordinates.

    Parameters
    ----------
    function : callable
        Called once, with one lazy array of coordinates for each axis. Made of NumPy's functions, it becomes an expression.
    shape : tuple of int
        The shape.
    dtype : dtype
        The dtype of the coordinates.
    chunks : chunks
        How to cut it; see `from_array`.
    **kwargs
        Passed to the function.

    Returns
    -------
    Array
        Of this shape.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.fromfunction(lambda i, j: 10 * i + j, (2, 3), dtype=int).compute()
    array([[ 0,  1,  2],
           [10, 11, 12]])
    """
    lengths = shape_argument(shape)
    cuts = normalize(chunks, lengths, np.dtype(dtype))
    grids = [
        Array(_native.broadcast_to(_coordinate(cuts, axis, dtype), cuts)) for axis in range(len(lengths))
    ]
    result = function(*grids, **kwargs)
    e = as_expr(result)
    return Array(e if e.shape == lengths else _native.broadcast_to(e, cuts))
