"""The class `Array`: a lazy, chunked array, which wraps one node of the expression graph.

An `Array` is a thin handle: all state is in its expression, which is immutable. What looks like a change in place
(``x[0] = 1``, ``x += 1``, ``out=x``) gives this one handle another expression; other arrays made from `x` before keep what
they had. Nothing computes until `compute`, `persist`, `store` or a NumPy function that must have numbers (``np.asarray(x)``)
asks for it, so ``if x.sum() > 0`` is a `TypeError`.

Methods only pass their arguments on: the functions are in the modules imported at the end of this file.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pantile import _native
from pantile._native import Expr
from pantile.array.chunking import Chunks

if TYPE_CHECKING:
    from pantile.diagnostics import Explanation

__all__ = ["Array"]

# Python numbers are weak operands: they take their dtype from the arrays around them (NEP 50).
_WEAK = (bool, int, float, complex)


def operand(value: Any) -> Any:
    """What the engine takes as an operand: an expression, a Python number, or a NumPy array or scalar.

    `NotImplemented` for objects that have rules of their own for operators with arrays.
    """
    if isinstance(value, Array):
        return value._expr
    kind = type(value)
    if kind in _WEAK:
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.kind not in "biufcmM" or value.dtype.itemsize > 16 or value.dtype.char in "gG":
            raise _native.UnsupportedError(
                f"arrays of dtype {value.dtype} have no native operations; use map_blocks with a NumPy function"
            )
        if isinstance(value, np.ndarray) and value.nbytes > 1 << 20:
            from pantile.array.creation import from_array

            return from_array(value)._expr
        return value
    if isinstance(value, _WEAK):  # a subclass, such as an IntEnum
        if isinstance(value, int):
            return int(value)
        return float(value) if isinstance(value, float) else complex(value)
    if getattr(kind, "__array_ufunc__", ()) is None or hasattr(kind, "__array_ufunc__"):
        return NotImplemented
    return operand(np.asarray(value))


def argument(value: Any) -> Any:
    """Like `operand`, for functions: whatever NumPy understands is accepted."""
    found = operand(value)
    return operand(np.asarray(value)) if found is NotImplemented else found


def as_expr(value: Any) -> Expr:
    """The expression of an array, or of anything that becomes one."""
    if isinstance(value, Array):
        return value._expr
    from pantile.array.creation import asarray

    return asarray(value)._expr


def dtype_text(dtype: Any) -> str:
    """NumPy's spelling of a dtype in native byte order, as the engine takes it."""
    return np.dtype(dtype).newbyteorder("=").str


def known_shape(e: Expr, what: str) -> tuple[int, ...]:
    """The shape, or a ValueError saying what cannot be done without it."""
    shape = e.shape
    if None in shape:
        raise ValueError(
            f"{what} needs to know the shape, but it is {shape}: a length is unknown after a boolean mask; call "
            f"compute_chunk_sizes() first"
        )
    return shape  # type: ignore[return-value]


def _is_no_number(value: Any) -> bool:
    """Whether no element of a native dtype equals it: None and text."""
    return value is None or isinstance(value, (str, bytes))


def _binary(name: str, left: Any, right: Any) -> Any:
    left, right = operand(left), operand(right)
    if left is NotImplemented or right is NotImplemented:
        return NotImplemented
    return Array(_native.map(name, (left, right))[0])


def _inplace(name: str, target: Array, other: Any) -> Array:
    value = operand(other)
    if value is NotImplemented:
        return NotImplemented
    target._rebind(_native.map(name, (target._expr, value))[0], name)
    return target


class Array:
    """A lazy array, cut into chunks.

    Arrays are made by functions such as `from_array`, `from_hdf5` or `ones`, and by operations on other arrays; this class is
    not called by users. Operators, methods and NumPy's own functions work as on `numpy.ndarray`, and give lazy arrays.

    Examples
    --------
    >>> import pantile.array as da
    >>> x = da.arange(6, chunks=3).reshape(2, 3)
    >>> x
    pantile.Array<reshape, shape=(2, 3), dtype=int64, chunksize=(1, 3)>
    >>> (x * 10 + 1).sum(axis=0).compute()
    array([32, 52, 72])
    """

    __slots__ = ("__weakref__", "_expr")
    __hash__ = None  # type: ignore[assignment]  # `==` gives an array, as in NumPy
    __array_priority__ = 20.0

    _expr: Expr

    def __init__(self, expr: Expr) -> None:
        if not isinstance(expr, Expr):
            raise TypeError(
                "arrays are made by functions such as from_array, from_hdf5 or ones, not by calling Array"
            )
        if expr.ndim > 64:
            raise ValueError(f"maximum supported dimension for an ndarray is currently 64, found {expr.ndim}")
        self._expr = expr

    def _rebind(self, e: Expr, name: str) -> None:
        """Takes the values of `e` in place: the shape stays, and the dtype, if NumPy's rule allows the conversion."""
        if e.shape != self._expr.shape:
            raise ValueError(
                f"non-broadcastable output operand with shape {self.shape} doesn't match the broadcast shape {e.shape}"
            )
        if e.dtype != self._expr.dtype:
            if not np.can_cast(e.dtype, self._expr.dtype, "same_kind"):
                raise TypeError(
                    f"Cannot cast ufunc '{name}' output from {np.dtype(e.dtype)!r} to {self.dtype!r} "
                    f"with casting rule 'same_kind'"
                )
            e = _native.astype(e, self._expr.dtype)
        self._expr = e

    # ---- what it is ----

    @property
    def dtype(self) -> np.dtype[Any]:
        """The data type."""
        return np.dtype(self._expr.dtype)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The lengths of the axes; None where only the computation will tell (after a boolean mask)."""
        return self._expr.shape

    @property
    def chunks(self) -> Chunks:
        """The lengths of the chunks along each axis; None where they are not known."""
        return self._expr.chunks

    @property
    def chunksize(self) -> tuple[int | None, ...]:
        """The longest chunk along each axis."""
        return tuple(None if None in c else max(c) for c in self.chunks)  # type: ignore[type-var]

    @property
    def numblocks(self) -> tuple[int, ...]:
        """How many chunks there are along each axis."""
        return tuple(len(c) for c in self.chunks)

    @property
    def npartitions(self) -> int:
        """How many blocks there are."""
        count = 1
        for n in self.numblocks:
            count *= n
        return count

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return self._expr.ndim

    @property
    def size(self) -> int | None:
        """How many elements there are; None if not known."""
        count = 1
        for n in self.shape:
            if n is None:
                return None
            count *= n
        return count

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int | None:
        """Bytes of all elements; None if not known."""
        size = self.size
        return None if size is None else size * self.itemsize

    @property
    def T(self) -> Array:
        """The array with its axes reversed."""
        return self.transpose()

    @property
    def real(self) -> Array:
        """The real parts."""
        return Array(_native.map("real", (self._expr,))[0])

    @property
    def imag(self) -> Array:
        """The imaginary parts."""
        return Array(_native.map("imag", (self._expr,))[0])

    @property
    def blocks(self) -> blockview.BlockView:
        """Indexing by blocks: ``x.blocks[0, 1:]`` is an array of those blocks."""
        return blockview.BlockView(self)

    partitions = blocks

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        n = self.shape[0]
        if n is None:
            raise ValueError("the length is not known after a boolean mask; call compute_chunk_sizes() first")
        return n

    def __repr__(self) -> str:
        return representation.text(self)

    def _repr_html_(self) -> str:
        return representation.html(self)

    # ---- finish ----

    def compute(self) -> Any:
        """Computes the array.

        Returns
        -------
        numpy.ndarray or NumPy scalar
            The values; a scalar if there is no axis.

        Examples
        --------
        >>> import pantile.array as da
        >>> (da.arange(4) ** 2).compute()
        array([0, 1, 4, 9])
        """
        return _run.compute_exprs([self._expr])[0]

    def persist(self) -> Array:
        """Computes the array and keeps its blocks in memory; the result is a lazy array with these blocks."""
        return Array(_run.run(lambda opts: _native.persist([self._expr], opts))[0])

    def explain(self) -> Explanation:
        """What computing will do: layers, native or Python, bytes, peak memory. See `pantile.explain`."""
        from pantile.diagnostics import explain

        return explain(self)

    def visualize(self, filename: Any = None, **options: Any) -> Any:
        """Draws the expression or its tasks as SVG or PNG. See `pantile.visualize`."""
        from pantile.diagnostics import visualize

        return visualize(self, filename=filename, **options)

    def compute_chunk_sizes(self) -> Array:
        """Finds out the lengths that are not known, by computing the array and keeping its blocks.

        Returns
        -------
        Array
            This array, now of known shape.

        Examples
        --------
        >>> import pantile.array as da
        >>> x = da.arange(10, chunks=5)
        >>> y = x[x % 3 == 0]
        >>> y.shape, y.compute_chunk_sizes().shape
        ((None,), (4,))
        """
        if None in self.shape:
            self._expr = self.persist()._expr
        return self

    def store(self, target: Any, **options: Any) -> Any:
        """Writes the array into something with item assignment. See `store`."""
        return targets.store(self, target, **options)

    def to_zarr(self, path: Any, component: str = "", **options: Any) -> None:
        """Writes a Zarr array. See `to_zarr`."""
        targets.to_zarr(self, path, component, **options)

    def to_hdf5(self, path: Any, name: str, **options: Any) -> None:
        """Writes an HDF5 dataset. See `to_hdf5`."""
        targets.to_hdf5(path, name, self, **options)

    def to_npy(self, path: Any) -> None:
        """Writes an npy file. See `to_npy`."""
        targets.to_npy(path, self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if copy is False:
            raise ValueError(
                "a lazy array has no values yet: `copy=False` cannot be honoured; use copy=None or compute()"
            )
        value = np.asarray(self.compute())
        return value if dtype is None else value.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return numpy_protocol.array_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return numpy_protocol.array_function(func, types, args, kwargs)

    def _lazy(self, what: str) -> TypeError:
        return TypeError(
            f"{what} of a lazy array is not known until it is computed, and nothing computes by itself: use x.compute()"
        )

    def __bool__(self) -> bool:
        raise self._lazy("the truth value")

    def __float__(self) -> float:
        raise self._lazy("the float()")

    def __int__(self) -> int:
        raise self._lazy("the int()")

    def __complex__(self) -> complex:
        raise self._lazy("the complex()")

    def __index__(self) -> int:
        raise self._lazy("the index")

    def __contains__(self, value: Any) -> bool:
        raise self._lazy("membership in")

    def __iter__(self) -> Iterator[Array]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __reduce__(self) -> Any:
        raise TypeError("a lazy array cannot be pickled; compute it first, or store it to a file")

    def __pantile_tokenize__(self) -> object:
        return "pantile.array", self._expr

    def __pantile_graph__(self) -> None:
        """An array as an argument of a delayed call: it has no nodes, but an engine of its own."""

    def __copy__(self) -> Array:
        return Array(self._expr)

    def __deepcopy__(self, memo: Any) -> Array:
        return Array(self._expr)

    # ---- subscripts ----

    def __getitem__(self, key: Any) -> Array:
        return indexing.getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        indexing.setitem(self, key, value)

    # ---- operators ----

    def __add__(self, other: Any) -> Array:
        return _binary("add", self, other)

    def __radd__(self, other: Any) -> Array:
        return _binary("add", other, self)

    def __iadd__(self, other: Any) -> Array:
        return _inplace("add", self, other)

    def __sub__(self, other: Any) -> Array:
        return _binary("subtract", self, other)

    def __rsub__(self, other: Any) -> Array:
        return _binary("subtract", other, self)

    def __isub__(self, other: Any) -> Array:
        return _inplace("subtract", self, other)

    def __mul__(self, other: Any) -> Array:
        return _binary("multiply", self, other)

    def __rmul__(self, other: Any) -> Array:
        return _binary("multiply", other, self)

    def __imul__(self, other: Any) -> Array:
        return _inplace("multiply", self, other)

    def __truediv__(self, other: Any) -> Array:
        return _binary("divide", self, other)

    def __rtruediv__(self, other: Any) -> Array:
        return _binary("divide", other, self)

    def __itruediv__(self, other: Any) -> Array:
        return _inplace("divide", self, other)

    def __floordiv__(self, other: Any) -> Array:
        return _binary("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Array:
        return _binary("floor_divide", other, self)

    def __ifloordiv__(self, other: Any) -> Array:
        return _inplace("floor_divide", self, other)

    def __mod__(self, other: Any) -> Array:
        return _binary("remainder", self, other)

    def __rmod__(self, other: Any) -> Array:
        return _binary("remainder", other, self)

    def __imod__(self, other: Any) -> Array:
        return _inplace("remainder", self, other)

    def __divmod__(self, other: Any) -> tuple[Array, Array]:
        return (self // other, self % other)

    def __rdivmod__(self, other: Any) -> tuple[Array, Array]:
        return (other // self, other % self)

    def __pow__(self, other: Any) -> Array:
        if type(other) is int and other == 2 and self.dtype.kind == "b":
            # NumPy's operator squares, and the square of a bool is an int8; that of `power` is an int64.
            return Array(_native.map("square", (self._expr,))[0])
        return _binary("power", self, other)

    def __rpow__(self, other: Any) -> Array:
        return _binary("power", other, self)

    def __ipow__(self, other: Any) -> Array:
        return _inplace("power", self, other)

    def __lshift__(self, other: Any) -> Array:
        return _binary("left_shift", self, other)

    def __rlshift__(self, other: Any) -> Array:
        return _binary("left_shift", other, self)

    def __ilshift__(self, other: Any) -> Array:
        return _inplace("left_shift", self, other)

    def __rshift__(self, other: Any) -> Array:
        return _binary("right_shift", self, other)

    def __rrshift__(self, other: Any) -> Array:
        return _binary("right_shift", other, self)

    def __irshift__(self, other: Any) -> Array:
        return _inplace("right_shift", self, other)

    def __and__(self, other: Any) -> Array:
        return _binary("bitwise_and", self, other)

    def __rand__(self, other: Any) -> Array:
        return _binary("bitwise_and", other, self)

    def __iand__(self, other: Any) -> Array:
        return _inplace("bitwise_and", self, other)

    def __or__(self, other: Any) -> Array:
        return _binary("bitwise_or", self, other)

    def __ror__(self, other: Any) -> Array:
        return _binary("bitwise_or", other, self)

    def __ior__(self, other: Any) -> Array:
        return _inplace("bitwise_or", self, other)

    def __xor__(self, other: Any) -> Array:
        return _binary("bitwise_xor", self, other)

    def __rxor__(self, other: Any) -> Array:
        return _binary("bitwise_xor", other, self)

    def __ixor__(self, other: Any) -> Array:
        return _inplace("bitwise_xor", self, other)

    def __eq__(self, other: Any) -> Array:  # type: ignore[override]
        if _is_no_number(other):
            return Array(_native.map("logical_and", (self._expr, False))[0])
        return _binary("equal", self, other)

    def __ne__(self, other: Any) -> Array:  # type: ignore[override]
        if _is_no_number(other):
            return Array(_native.map("logical_or", (self._expr, True))[0])
        return _binary("not_equal", self, other)

    def __lt__(self, other: Any) -> Array:
        return _binary("less", self, other)

    def __le__(self, other: Any) -> Array:
        return _binary("less_equal", self, other)

    def __gt__(self, other: Any) -> Array:
        return _binary("greater", self, other)

    def __ge__(self, other: Any) -> Array:
        return _binary("greater_equal", self, other)

    def __neg__(self) -> Array:
        return Array(_native.map("negative", (self._expr,))[0])

    def __pos__(self) -> Array:
        return Array(_native.map("positive", (self._expr,))[0])

    def __abs__(self) -> Array:
        return Array(_native.map("absolute", (self._expr,))[0])

    def __invert__(self) -> Array:
        return Array(_native.map("invert", (self._expr,))[0])

    def __matmul__(self, other: Any) -> Array:
        value = operand(other)
        return NotImplemented if value is NotImplemented else products.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Array:
        value = operand(other)
        return NotImplemented if value is NotImplemented else products.matmul(other, self)

    # ---- elementwise ----

    def astype(self, dtype: Any, casting: Any = "unsafe", copy: bool = True) -> Array:
        """The array converted to another dtype.

        Parameters
        ----------
        dtype : dtype
            The dtype.
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
        >>> da.linspace(0, 2, 3).astype("int32").compute()
        array([0, 1, 2], dtype=int32)
        """
        return elementwise.astype(self, dtype, casting=casting)

    def clip(self, min: Any = None, max: Any = None, out: Any = None) -> Array:
        """Values below `min` become `min`, those above `max` become `max`. See `clip`."""
        return elementwise.clip(self, min, max, out=out)

    def round(self, decimals: int = 0, out: Any = None) -> Array:
        """Rounded to this many decimals. See `round`."""
        return elementwise.round(self, decimals, out=out)

    def conj(self) -> Array:
        """The complex conjugates."""
        return Array(_native.map("conjugate", (self._expr,))[0])

    conjugate = conj

    def copy(self, order: str = "C") -> Array:
        """Another handle with the same expression, which later changes in place do not touch."""
        return Array(self._expr)

    def view(self, dtype: Any = None) -> Array:
        """The same bytes seen as another dtype of the same size. See `map_blocks` for others."""
        if dtype is None or np.dtype(dtype) == self.dtype:
            return Array(self._expr)
        if np.dtype(dtype).itemsize != self.itemsize:
            raise ValueError(
                f"a view must keep the size of elements: {self.dtype} has {self.itemsize} bytes, "
                f"{np.dtype(dtype)} has {np.dtype(dtype).itemsize}; use map_blocks with chunks="
            )
        wanted = np.dtype(dtype)
        return blocks.map_blocks(lambda b: b.view(wanted), self, dtype=wanted, name="view")

    # ---- reductions ----

    def sum(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, **kwargs: Any
    ) -> Array:
        """Sum over axes. See `sum`."""
        return reductions.sum(self, axis, dtype, out, keepdims, **kwargs)

    def prod(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, **kwargs: Any
    ) -> Array:
        """Product over axes. See `prod`."""
        return reductions.prod(self, axis, dtype, out, keepdims, **kwargs)

    def mean(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, **kwargs: Any
    ) -> Array:
        """Arithmetic mean over axes. See `mean`."""
        return reductions.mean(self, axis, dtype, out, keepdims, **kwargs)

    def std(
        self,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: float = 0,
        keepdims: bool = False,
        **kwargs: Any,
    ) -> Array:
        """Standard deviation over axes. See `std`."""
        return reductions.std(self, axis, dtype, out, ddof, keepdims, **kwargs)

    def var(
        self,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: float = 0,
        keepdims: bool = False,
        **kwargs: Any,
    ) -> Array:
        """Variance over axes. See `var`."""
        return reductions.var(self, axis, dtype, out, ddof, keepdims, **kwargs)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False, **kwargs: Any) -> Array:
        """Smallest value over axes. See `min`."""
        return reductions.min(self, axis, out, keepdims, **kwargs)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False, **kwargs: Any) -> Array:
        """Largest value over axes. See `max`."""
        return reductions.max(self, axis, out, keepdims, **kwargs)

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False, **kwargs: Any) -> Array:
        """Whether any element is true. See `any`."""
        return reductions.any(self, axis, out, keepdims, **kwargs)

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False, **kwargs: Any) -> Array:
        """Whether all elements are true. See `all`."""
        return reductions.all(self, axis, out, keepdims, **kwargs)

    def argmin(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Array:
        """Position of the smallest value. See `argmin`."""
        return reductions.argmin(self, axis, out, keepdims=keepdims)

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Array:
        """Position of the largest value. See `argmax`."""
        return reductions.argmax(self, axis, out, keepdims=keepdims)

    def ptp(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        """Largest less smallest value. See `ptp`."""
        return reductions.ptp(self, axis, out, keepdims)

    def cumsum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Array:
        """Running sum along an axis. See `cumsum`."""
        return reductions.cumsum(self, axis, dtype, out)

    def cumprod(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Array:
        """Running product along an axis. See `cumprod`."""
        return reductions.cumprod(self, axis, dtype, out)

    # ---- shape ----

    def rechunk(self, chunks: Any = "auto") -> Array:
        """The array cut in another way. See `rechunk`."""
        return manipulation.rechunk(self, chunks)

    def reshape(self, *shape: Any, order: str = "C") -> Array:
        """The same elements in another shape. See `reshape`."""
        if len(shape) == 1 and not hasattr(shape[0], "__index__"):
            shape = tuple(shape[0])
        return manipulation.reshape(self, shape, order=order)

    def ravel(self, order: str = "C") -> Array:
        """One axis with all elements. See `ravel`."""
        return manipulation.ravel(self, order)

    def flatten(self, order: str = "C") -> Array:
        """One axis with all elements. See `ravel`."""
        return manipulation.ravel(self, order)

    def transpose(self, *axes: Any) -> Array:
        """The axes in another order. See `transpose`."""
        if len(axes) == 1 and (axes[0] is None or not hasattr(axes[0], "__index__")):
            axes = axes[0]
        return manipulation.transpose(self, axes or None)

    def swapaxes(self, axis1: int, axis2: int) -> Array:
        """Two axes exchanged. See `swapaxes`."""
        return manipulation.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Array:
        """Without axes of length one. See `squeeze`."""
        return manipulation.squeeze(self, axis)

    def repeat(self, repeats: Any, axis: Any = None) -> Array:
        """Elements repeated. See `repeat`."""
        return manipulation.repeat(self, repeats, axis)

    def take(self, indices: Any, axis: Any = None) -> Array:
        """Elements at positions along an axis. See `take`."""
        return indexing.take(self, indices, axis)

    def nonzero(self) -> tuple[Array, ...]:
        """The positions of what is not zero, an array for each axis. See `nonzero`."""
        return indexing.nonzero(self)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
        """A diagonal along two axes. See `diagonal`."""
        return indexing.diagonal(self, offset, axis1, axis2)

    def trace(
        self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
    ) -> Array:
        """The sum of a diagonal. See `trace`."""
        return reductions.trace(self, offset, axis1, axis2, dtype, out)

    # ---- products and blocks ----

    def dot(self, other: Any) -> Array:
        """Matrix product. See `dot`."""
        return products.dot(self, other)

    def map_blocks(self, func: Any, *args: Any, **kwargs: Any) -> Array:
        """Applies a Python function to every block. See `map_blocks`."""
        return blocks.map_blocks(func, self, *args, **kwargs)

    def map_overlap(
        self, func: Any, depth: Any, boundary: Any = None, trim: bool = True, **kwargs: Any
    ) -> Array:
        """Applies a Python function to blocks widened by their neighbours. See `map_overlap`."""
        return overlap.map_overlap(func, self, depth=depth, boundary=boundary, trim=trim, **kwargs)


def integer(value: Any) -> int | None:
    """A Python integer, if it is one."""
    try:
        return operator.index(value)
    except TypeError:
        return None


# The functions behind the methods. They need `Array`, which is defined by now.
from pantile import _run  # noqa: E402
from pantile.array import (  # noqa: E402
    blocks,
    blockview,
    elementwise,
    indexing,
    manipulation,
    numpy_protocol,
    overlap,
    products,
    reductions,
    representation,
    targets,
)
