"""Linear algebra on matrices cut in either or both dimensions.

``qr`` and ``svd`` choose a method by the chunks: tall-and-skinny where there is one column of blocks, blocked otherwise.
What is singular or not positive definite is known only when it is computed: then `numpy.linalg.LinAlgError` is raised.

A step on a dense matrix runs in one task, which may need up to half of the setting ``memory_limit`` as it is when the
function is called. ``qr``, ``cholesky`` and ``solve_triangular`` work tile by tile and need no such step; ``solve``, ``inv``
and ``det`` need room for a panel of columns; ``svd`` and ``lstsq`` for a square matrix with sides as long as the shorter one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pantile import _native, config
from pantile._native import Expr
from pantile.array import products
from pantile.array.chunking import axis_index, axis_tuple
from pantile.array.core import Array, as_expr
from pantile.array.elementwise import call

LinAlgError = np.linalg.LinAlgError

__all__ = [
    "LinAlgError",
    "cholesky",
    "det",
    "inv",
    "lstsq",
    "matrix_power",
    "matrix_transpose",
    "norm",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "trace",
    "vecdot",
]


class QRResult(NamedTuple):
    """The factors of `qr`."""

    Q: Array
    R: Array


class SVDResult(NamedTuple):
    """The factors of `svd`."""

    U: Array
    S: Array
    Vh: Array


class LstsqResult(NamedTuple):
    """The results of `lstsq`."""

    x: Array
    residuals: Array
    rank: Array
    s: Array


class SlogdetResult(NamedTuple):
    """The sign and the logarithm of `slogdet`."""

    sign: Array
    logabsdet: Array


def _limit() -> int:
    """The memory limit by which methods are chosen: that of the settings when the expression is made."""
    limit: int = config.get("memory_limit")
    return limit


def _matrix(a: Any, name: str) -> Expr:
    e = as_expr(a)
    if e.ndim < 2:
        raise LinAlgError(f"{e.ndim}-dimensional array given. Array must be at least two-dimensional")
    if e.ndim > 2:
        raise _native.UnsupportedError(
            f"{name} takes one matrix, not a stack of them (shape {e.shape}); use map_blocks with numpy.linalg.{name}"
        )
    return e


def _square(a: Any, name: str) -> Expr:
    e = _matrix(a, name)
    if e.shape[0] != e.shape[1]:
        raise LinAlgError(f"Last 2 dimensions of the array must be square: the shape is {e.shape}")
    return e


def qr(a: Any, mode: str = "reduced") -> Any:
    """The QR factorisation ``a = q @ r``.

    Parameters
    ----------
    a : array_like
        A matrix, cut in any way.
    mode : {'reduced', 'r'}
        Whether both factors are returned, or `r` alone.

    Returns
    -------
    (Q, R) or R
        Q has orthonormal columns; R is upper triangular. Asking for R alone forms no Q.

    Examples
    --------
    >>> import numpy as np
    >>> import pantile.array as da
    >>> x = da.random.default_rng(0).random((20, 4), chunks=(5, 4))
    >>> q, r = da.linalg.qr(x)
    >>> bool(np.allclose((q @ r).compute(), x.compute()))
    True
    """
    if mode not in ("reduced", "r"):
        if mode in ("complete", "raw"):
            raise _native.UnsupportedError(f"qr knows mode='reduced' and 'r', not {mode!r}")
        raise ValueError(f"Unrecognized mode '{mode}'")
    q, r = _native.qr(_matrix(a, "qr"), _limit())
    return Array(r) if mode == "r" else QRResult(Array(q), Array(r))


def svd(a: Any, full_matrices: bool = False, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """The singular value decomposition ``a = (u * s) @ vh``.

    Parameters
    ----------
    a : array_like
        A matrix, cut in any way.
    full_matrices : bool
        Whether `u` and `vh` are square. The default is False, as in Dask: the square ones may be far larger than `a`. NumPy's
        is True.
    compute_uv : bool
        Whether `u` and `vh` are returned too.
    hermitian : bool
        Has no effect on the result.

    Returns
    -------
    (U, S, Vh) or S
        Asking for S alone forms no vectors.

    Raises
    ------
    NotImplementedError
        The shorter side is too long. A tree of QR factorisations reduces the longer side block by block, but the square
        matrix that is left, with sides of length k, is decomposed by one task. In double precision that needs 104 k²
        bytes, or 32 k² for singular values alone, and half of the setting ``memory_limit`` is there for it: with a
        limit of 8 GiB, k is at most 6400, or 11500 for values alone. ``full_matrices`` needs more.

    Examples
    --------
    >>> import numpy as np
    >>> import pantile.array as da
    >>> x = da.random.default_rng(0).random((20, 4), chunks=(5, 4))
    >>> u, s, vh = da.linalg.svd(x)
    >>> bool(np.allclose(((u * s) @ vh).compute(), x.compute()))
    True
    """
    e = _matrix(a, "svd")
    if not compute_uv:
        return Array(_native.svdvals(e, _limit()))
    return SVDResult(*(Array(f) for f in _native.svd(e, bool(full_matrices), _limit())))


def svdvals(x: Any, /) -> Array:
    """The singular values, largest first.

    Parameters
    ----------
    x : array_like
        A matrix, cut in any way.

    Returns
    -------
    Array
        With one axis.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.linalg.svdvals([[3.0, 0.0], [0.0, 4.0]]).compute()
    array([4., 3.])
    """
    return Array(_native.svdvals(_matrix(x, "svdvals"), _limit()))


def cholesky(a: Any, /, *, upper: bool = False, lower: bool | None = None) -> Array:
    """The Cholesky factor of a positive definite matrix.

    Parameters
    ----------
    a : array_like
        A Hermitian matrix; only its lower triangle is read.
    upper : bool
        Whether the upper factor is returned.
    lower : bool, optional
        The opposite of `upper`, under SciPy's and Dask's name.

    Returns
    -------
    Array
        ``l`` with ``l @ l.conj().T == a``, or its conjugate transpose.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.linalg.cholesky([[4.0, 2.0], [2.0, 5.0]]).compute()
    array([[2., 0.],
           [1., 2.]])
    """
    if lower is not None:
        upper = not lower
    factor = _native.cholesky(_square(a, "cholesky"), _limit())
    if upper:
        factor = _native.transpose(factor, (1, 0))
        factor = call("conjugate", factor) if np.dtype(factor.dtype).kind == "c" else factor
    return Array(factor)


def _right_side(a: Expr, b: Any) -> tuple[Expr, bool]:
    y = as_expr(b)
    if y.ndim not in (1, 2):
        raise _native.UnsupportedError(f"the right side has one or two axes, not {y.ndim}")
    if y.shape[0] != a.shape[0]:
        raise ValueError(f"solve: the matrix has shape {a.shape}, but the right side {y.shape}")
    return (_native.expand_dims(y, (1,)), True) if y.ndim == 1 else (y, False)


def _vector(e: Expr, flat: bool) -> Array:
    return Array(_native.squeeze(e, (1,)) if flat else e)


def solve(a: Any, b: Any, sym_pos: bool = False) -> Array:
    """The solution of ``a @ x = b``.

    Parameters
    ----------
    a : array_like
        A square matrix.
    b : array_like
        One or more right sides.
    sym_pos : bool
        Has no effect on the result.

    Returns
    -------
    Array
        Of the shape of `b`.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]).compute()
    array([1. , 0.5])
    """
    m = _square(a, "solve")
    y, flat = _right_side(m, b)
    return _vector(_native.solve(m, y, _limit()), flat)


def solve_triangular(
    a: Any, b: Any, lower: bool = False, trans: Any = 0, unit_diagonal: bool = False
) -> Array:
    """The solution of ``a @ x = b`` for a triangular `a`.

    Parameters
    ----------
    a : array_like
        A square matrix, of which one triangle is read.
    b : array_like
        One or more right sides.
    lower : bool
        Which triangle.
    trans : {0, 1, 2, 'N', 'T', 'C'}
        Whether `a` is used as it is, transposed, or conjugated and transposed.
    unit_diagonal : bool
        Whether the diagonal is taken as ones.

    Returns
    -------
    Array
        Of the shape of `b`.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.linalg.solve_triangular([[2.0, 0.0], [1.0, 1.0]], [2.0, 3.0], lower=True).compute()
    array([1., 2.])
    """
    kinds = {0: 0, 1: 1, 2: 2, "N": 0, "T": 1, "C": 2}
    if trans not in kinds:
        raise ValueError(f"trans must be one of 0, 1, 2, 'N', 'T', 'C', not {trans!r}")
    m = _square(a, "solve_triangular")
    y, flat = _right_side(m, b)
    x = _native.solve_triangular(m, y, bool(lower), kinds[trans], bool(unit_diagonal), _limit())
    return _vector(x, flat)


def inv(a: Any) -> Array:
    """The inverse of a matrix.

    Parameters
    ----------
    a : array_like
        A square matrix.

    Returns
    -------
    Array
        Of the same shape.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.linalg.inv([[2.0, 0.0], [0.0, 4.0]]).compute()
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    return Array(_native.inv(_square(a, "inv"), _limit()))


def det(a: Any) -> Array:
    """The determinant of a matrix.

    Parameters
    ----------
    a : array_like
        A square matrix.

    Returns
    -------
    Array
        Without axes.

    Examples
    --------
    >>> import pantile.array as da
    >>> float(da.linalg.det([[2.0, 1.0], [0.0, 4.0]]).compute())
    8.0
    """
    return Array(_native.det(_square(a, "det"), _limit()))


def slogdet(a: Any) -> SlogdetResult:
    """The sign and the logarithm of the determinant.

    Parameters
    ----------
    a : array_like
        A square matrix.

    Returns
    -------
    (sign, logabsdet)
        Without axes.

    Examples
    --------
    >>> import pantile.array as da
    >>> sign, logarithm = da.linalg.slogdet([[1.0, 0.0], [0.0, -1.0]])
    >>> float(sign.compute()), float(logarithm.compute())
    (-1.0, 0.0)
    """
    sign, logarithm = _native.slogdet(_square(a, "slogdet"), _limit())
    return SlogdetResult(Array(sign), Array(logarithm))


def lstsq(a: Any, b: Any, rcond: float | None = None) -> LstsqResult:
    """The solution of least norm of ``a @ x = b`` in the sense of least squares.

    Parameters
    ----------
    a : array_like
        A matrix.
    b : array_like
        One or more right sides.
    rcond : float, optional
        Singular values below this times the largest one count as zero.

    Returns
    -------
    (x, residuals, rank, s)
        The residuals are empty where the matrix has no more rows than columns. NumPy leaves them empty for a matrix of
        deficient rank too, which is not known before it is computed.

    Examples
    --------
    >>> import numpy as np
    >>> import pantile.array as da
    >>> x, *_ = da.linalg.lstsq([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [1.0, 3.0, 5.0])
    >>> bool(np.allclose(x.compute(), [1.0, 2.0]))
    True
    """
    m, y = _matrix(a, "lstsq"), as_expr(b)
    if y.ndim not in (1, 2):
        raise LinAlgError(f"{y.ndim}-dimensional array given. Array must be one- or two-dimensional")
    if y.shape[0] != m.shape[0]:
        raise LinAlgError(
            f"Incompatible dimensions: the matrix has shape {m.shape}, but the right side {y.shape}"
        )
    return LstsqResult(*(Array(f) for f in _native.lstsq(m, y, rcond, _limit())))


def matrix_power(a: Any, n: int) -> Array:
    """A square matrix multiplied by itself.

    Parameters
    ----------
    a : array_like
        A square matrix.
    n : int
        How often; negative powers are those of the inverse.

    Returns
    -------
    Array
        Of the same shape.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.linalg.matrix_power([[1, 1], [0, 1]], 5).compute()
    array([[1, 5],
           [0, 1]])
    """
    e = _square(a, "matrix_power")
    n = int(n)
    if n < 0:
        e, n = _native.inv(e, _limit()), -n
    if n == 0:
        from pantile.array.creation import eye

        return eye(e.shape[0] or 0, dtype=e.dtype, chunks=e.chunks)
    result: Expr | None = None
    while n:
        if n & 1:
            result = e if result is None else _native.matmul(result, e)
        n >>= 1
        if n:
            e = _native.matmul(e, e)
    assert result is not None
    return Array(result)


def matrix_transpose(x: Any, /) -> Array:
    """The last two axes exchanged.

    Parameters
    ----------
    x : array_like
        Matrices.

    Returns
    -------
    Array
        A view.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.linalg.matrix_transpose(da.ones((2, 3))).shape
    (3, 2)
    """
    e = as_expr(x)
    if e.ndim < 2:
        raise ValueError(f"Input array must be at least 2-dimensional, but it is {e.ndim}")
    order = (*range(e.ndim - 2), e.ndim - 1, e.ndim - 2)
    return Array(_native.transpose(e, order))


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Array:
    """The sum of a diagonal of a matrix, or of each matrix of a stack.

    Parameters
    ----------
    x : array_like
        Matrices along the last two axes.
    offset : int
        Which diagonal.
    dtype : dtype, optional
        The dtype to sum in.

    Returns
    -------
    Array
        Without the last two axes.

    Examples
    --------
    >>> import pantile.array as da
    >>> float(da.linalg.trace(da.eye(3)).compute())
    3.0
    """
    return Array(as_expr(x)).trace(offset, -2, -1, dtype)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Array:
    """Products of vectors along an axis. See `pantile.array.vecdot`.

    Parameters
    ----------
    x1, x2 : array_like
        The vectors; their stacks broadcast.
    axis : int
        The axis of the vectors.

    Returns
    -------
    Array
        Without the axis.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.linalg.vecdot(da.ones((3, 2)), da.ones(2)).compute()
    array([2., 2., 2.])
    """
    return products.vecdot(x1, x2, axis=axis)


def _sum(e: Expr, axes: Any, keepdims: bool) -> Expr:
    return _native.reduce("sum", e, axes, keepdims, None, 0.0, None, None, False)


def _extreme(name: str, e: Expr, axes: Any, keepdims: bool) -> Expr:
    return _native.reduce(name, e, axes, keepdims, None, 0.0, None, None, False)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    """The norm of vectors or matrices.

    Parameters
    ----------
    x : array_like
        The array.
    ord : int, float, 'fro', 'nuc' or None
        Which norm; see `numpy.linalg.norm`.
    axis : int, pair of int or None
        The axis of vectors, or the axes of matrices; None for the whole array.
    keepdims : bool
        Whether the axes stay, with length one.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> float(da.linalg.norm([3.0, 4.0]).compute())
    5.0
    """
    e = as_expr(x)
    if np.dtype(e.dtype).kind not in "fc":
        e = _native.astype(e, "<f8")
    if axis is None:
        if ord is None or (ord in ("f", "fro") and e.ndim == 2) or (ord == 2 and e.ndim == 1):
            r = call("sqrt", _sum(_squares(e), None, keepdims))
            return Array(r)
        axes = tuple(range(e.ndim))
    else:
        axes = axis_tuple(axis, e.ndim)
    if len(axes) == 1:
        return Array(_vector_norm(e, ord, axes, keepdims))
    if len(axes) == 2:
        return Array(_matrix_norm(e, ord, axes, keepdims))
    raise ValueError("Improper number of dimensions to norm.")


def _squares(e: Expr) -> Expr:
    if np.dtype(e.dtype).kind == "c":
        return call("add", call("square", call("real", e)), call("square", call("imag", e)))
    return call("square", e)


def _vector_norm(e: Expr, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Expr:
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    if ord is None or ord == 2:
        return call("sqrt", _sum(_squares(e), axes, keepdims))
    size = call("absolute", e)
    if ord == np.inf:
        return _extreme("max", size, axes, keepdims)
    if ord == -np.inf:
        return _extreme("min", size, axes, keepdims)
    if ord == 0:
        return _sum(_native.astype(call("not_equal", e, 0), size.dtype), axes, keepdims)
    if ord == 1:
        return _sum(size, axes, keepdims)
    total = _sum(call("power", size, float(ord)), axes, keepdims)
    return call("power", total, 1.0 / float(ord))


def _matrix_norm(e: Expr, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Expr:
    row, column = axes
    if ord in (None, "fro", "f"):
        return call("sqrt", _sum(_squares(e), tuple(sorted(axes)), keepdims))
    if ord in (2, -2, "nuc"):
        if e.ndim != 2:
            raise _native.UnsupportedError(
                f"norms of order {ord!r} need singular values, of one matrix and not a stack"
            )
        values = _native.svdvals(e, _limit())
        name = {2: "max", -2: "min", "nuc": "sum"}[ord]
        r = _extreme(name, values, None, False)
        return _native.expand_dims(r, (0, 1)) if keepdims else r
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError(
            f"Invalid norm order {ord!r} for matrices; there are None, 'fro', 'nuc', inf, -inf, 1, -1, 2, -2"
        )
    summed, kept = (row, column) if abs(ord) == 1 else (column, row)
    sums = _sum(call("absolute", e), (summed,), True)
    r = _extreme("max" if ord > 0 else "min", sums, (kept,), True)
    return r if keepdims else _native.squeeze(r, tuple(sorted(axis_index(a, e.ndim) for a in axes)))
