"""Products of arrays: sums over common axes, block by block."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from pantile import _native
from pantile._native import Expr
from pantile.array.chunking import axis_index
from pantile.array.core import Array, argument, as_expr
from pantile.array.elementwise import call, finish

__all__ = [
    "dot",
    "einsum",
    "inner",
    "kron",
    "matmul",
    "matvec",
    "outer",
    "tensordot",
    "vdot",
    "vecdot",
    "vecmat",
]


def matmul(x1: Any, x2: Any, /, out: Any = None) -> Array:
    """Matrix product; stacks of matrices broadcast. The operator ``@``.

    Parameters
    ----------
    x1, x2 : array_like
        Matrices along the last two axes; with one axis, a row or a column.
    out : Array or numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> x = da.arange(4).reshape(2, 2)
    >>> (x @ x).compute()
    array([[ 2,  3],
           [ 6, 11]])
    """
    return finish([_native.matmul(as_expr(x1), as_expr(x2))], "matmul", out)


def dot(a: Any, b: Any, out: Any = None) -> Array:
    """Sum over the last axis of the first array and the second-last of the second.

    Parameters
    ----------
    a, b : array_like
        The arrays.
    out : Array or numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> int(da.dot([1, 2], [3, 4]).compute())
    11
    """
    x, y = as_expr(a), as_expr(b)
    if x.ndim == 0 or y.ndim == 0:
        return finish([call("multiply", argument(a), argument(b))], "dot", out)
    if x.shape[-1] != y.shape[-2 if y.ndim > 1 else -1]:
        raise ValueError(
            f"shapes {x.shape} and {y.shape} not aligned: {x.shape[-1]} (dim {x.ndim - 1}) != "
            f"{y.shape[-2 if y.ndim > 1 else -1]} (dim {max(y.ndim - 2, 0)})"
        )
    return finish([_native.tensordot(x, y, (x.ndim - 1,), (max(y.ndim - 2, 0),))], "dot", out)


def _at_least_one(e: Expr, name: str) -> None:
    if e.ndim == 0:
        raise ValueError(f"{name}: an input has no axis, where a vector is wanted")


def _conjugate(e: Expr) -> Expr:
    return call("conjugate", e) if np.dtype(e.dtype).kind == "c" else e


def matvec(x1: Any, x2: Any, /, out: Any = None) -> Array:
    """Products of matrices and vectors; stacks broadcast.

    Parameters
    ----------
    x1 : array_like
        Matrices along the last two axes.
    x2 : array_like
        Vectors along the last axis.
    out : Array or numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    Array
        Vectors along the last axis.

    Raises
    ------
    ValueError
        An input has too few axes, or the lengths do not match.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.matvec(da.arange(4).reshape(2, 2), [1, 10]).compute()
    array([10, 32])
    """
    x, y = as_expr(x1), as_expr(x2)
    if x.ndim < 2:
        raise ValueError(f"matvec: the first input has {x.ndim} axes, where matrices are wanted")
    _at_least_one(y, "matvec")
    product = _native.matmul(x, _native.expand_dims(y, (y.ndim,)))
    return finish([_native.index(product, (..., 0))], "matvec", out)


def vecmat(x1: Any, x2: Any, /, out: Any = None) -> Array:
    """Products of vectors, conjugated where they are complex, and matrices; stacks broadcast.

    Parameters
    ----------
    x1 : array_like
        Vectors along the last axis.
    x2 : array_like
        Matrices along the last two axes.
    out : Array or numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    Array
        Vectors along the last axis.

    Raises
    ------
    ValueError
        An input has too few axes, or the lengths do not match.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.vecmat([1, 10], da.arange(4).reshape(2, 2)).compute()
    array([20, 31])
    """
    x, y = as_expr(x1), as_expr(x2)
    _at_least_one(x, "vecmat")
    if y.ndim < 2:
        raise ValueError(f"vecmat: the second input has {y.ndim} axes, where matrices are wanted")
    product = _native.matmul(_native.expand_dims(_conjugate(x), (x.ndim - 1,)), y)
    return finish([_native.index(product, (..., 0, slice(None)))], "vecmat", out)


def vecdot(x1: Any, x2: Any, /, out: Any = None, *, axis: int = -1) -> Array:
    """Products of vectors along an axis, the first conjugated where they are complex; stacks broadcast.

    Parameters
    ----------
    x1, x2 : array_like
        The vectors.
    out : Array or numpy.ndarray, optional
        Takes the result.
    axis : int
        The axis of the vectors in both.

    Returns
    -------
    Array
        Without the axis.

    Raises
    ------
    ValueError
        An input has no axis, or the lengths do not match.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.vecdot(da.arange(4).reshape(2, 2), [1, 10]).compute()
    array([10, 32])
    """
    rows: list[Expr] = []
    for e in (as_expr(x1), as_expr(x2)):
        _at_least_one(e, "vecdot")
        at = axis_index(axis, e.ndim)
        rows.append(_native.transpose(e, (*(k for k in range(e.ndim) if k != at), at)))
    x, y = rows
    left = _native.expand_dims(_conjugate(x), (x.ndim - 1,))
    product = _native.matmul(left, _native.expand_dims(y, (y.ndim,)))
    return finish([_native.index(product, (..., 0, 0))], "vecdot", out)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Array:
    """Sum of products over given axes.

    Parameters
    ----------
    a, b : array_like
        The arrays.
    axes : int or two sequences of int
        How many of the last axes of `a` and first ones of `b`; or which axes of each.

    Returns
    -------
    Array
        With the other axes of `a`, then those of `b`.

    Examples
    --------
    >>> import pantile.array as da
    >>> x = da.ones((2, 3, 4))
    >>> da.tensordot(x, x, axes=([0, 1], [0, 1])).shape
    (4, 4)
    """
    x, y = as_expr(a), as_expr(b)
    try:
        left, right = axes
    except TypeError:
        n = operator.index(axes)
        if n > min(x.ndim, y.ndim):
            raise IndexError(
                f"tensordot cannot sum over {n} axes of arrays with {x.ndim} and {y.ndim}"
            ) from None
        n = max(n, 0)  # As for NumPy, fewer than none are none.
        left, right = list(range(x.ndim - n, x.ndim)), list(range(n))
    left = [left] if hasattr(left, "__index__") else list(left)
    right = [right] if hasattr(right, "__index__") else list(right)
    if len(left) != len(right):
        raise ValueError("shape-mismatch for sum")
    x_axes = [axis_index(k, x.ndim) for k in left]
    y_axes = [axis_index(k, y.ndim) for k in right]
    if any(x.shape[i] != y.shape[j] for i, j in zip(x_axes, y_axes, strict=True)):
        raise ValueError(f"shape-mismatch for sum: axes {left} of {x.shape} and {right} of {y.shape}")
    if x_axes:
        return Array(_native.tensordot(x, y, x_axes, y_axes))
    # Nothing is summed: an outer product.
    x = _native.expand_dims(x, tuple(range(x.ndim, x.ndim + y.ndim))) if y.ndim else x
    return Array(call("multiply", x, y))


def vdot(a: Any, b: Any) -> Array:
    """Sum of the products of all elements, those of the first conjugated.

    Parameters
    ----------
    a, b : array_like
        Of the same size.

    Returns
    -------
    Array
        Without axes.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.vdot([1j, 2], [1j, 2]).compute()
    np.complex128(5+0j)
    """
    x, y = as_expr(a), as_expr(b)
    if np.dtype(x.dtype).kind == "c":
        x = call("conjugate", x)
    return dot(Array(_native.reshape(x, (-1,))), Array(_native.reshape(y, (-1,))))


def inner(a: Any, b: Any) -> Array:
    """Sum of products over the last axes.

    Parameters
    ----------
    a, b : array_like
        With last axes of equal length.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import pantile.array as da
    >>> int(da.inner([1, 2], [3, 4]).compute())
    11
    """
    x, y = as_expr(a), as_expr(b)
    if x.ndim == 0 or y.ndim == 0:
        return Array(call("multiply", argument(a), argument(b)))
    return tensordot(Array(x), Array(y), ([-1], [-1]))


def outer(a: Any, b: Any, out: Any = None) -> Array:
    """Products of all pairs of elements.

    Parameters
    ----------
    a, b : array_like
        Flattened.
    out : Array or numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    Array
        With two axes.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.outer([1, 2], [3, 4]).compute()
    array([[3, 4],
           [6, 8]])
    """
    x, y = (_native.reshape(as_expr(v), (-1,)) for v in (a, b))
    return finish(
        [call("multiply", _native.expand_dims(x, (1,)), _native.expand_dims(y, (0,)))], "outer", out
    )


def kron(a: Any, b: Any) -> Array:
    """The Kronecker product.

    Parameters
    ----------
    a, b : array_like
        The arrays.

    Returns
    -------
    Array
        Blocks of `b` times the elements of `a`.

    Examples
    --------
    >>> import pantile.array as da
    >>> da.kron([1, 10], [1, 2]).compute()
    array([ 1,  2, 10, 20])
    """
    x, y = as_expr(a), as_expr(b)
    n = max(x.ndim, y.ndim)
    x = _native.expand_dims(x, tuple(range(n - x.ndim))) if x.ndim < n else x
    y = _native.expand_dims(y, tuple(range(n - y.ndim))) if y.ndim < n else y
    shape = tuple((i or 0) * (j or 0) for i, j in zip(x.shape, y.shape, strict=True))
    if n:
        x = _native.expand_dims(x, tuple(range(1, 2 * n, 2)))
        y = _native.expand_dims(y, tuple(range(0, 2 * n, 2)))
    product = call("multiply", x, y)
    return Array(_native.reshape(product, shape) if n else product)


# ---- einsum ----


def _terms(args: tuple[Any, ...]) -> tuple[list[str], str | None, list[Any]]:
    """The letters of each operand, those of the result if given, and the operands."""
    if isinstance(args[0], str):
        text = args[0].replace(" ", "")
        operands = list(args[1:])
    else:
        letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

        def spell(subscripts: Any) -> str:
            return "".join("..." if k is Ellipsis else letters[operator.index(k)] for k in subscripts)

        pairs, rest = (args[:-1], args[-1]) if len(args) % 2 else (args, None)
        operands = list(pairs[0::2])
        text = ",".join(spell(s) for s in pairs[1::2])
        if rest is not None:
            text += "->" + spell(rest)
    if text.count("->") > 1 or (text.count("-") + text.count(">")) not in (0, 2):
        raise ValueError("Subscripts can only contain one '->'.")
    inputs, arrow, result = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum has {len(terms)} subscripts ({inputs!r}) for {len(operands)} operands")
    return terms, result if arrow else None, operands


def _without_dots(terms: list[str], result: str | None, exprs: list[Expr]) -> tuple[list[str], str]:
    """Ellipses become letters of their own: digits, which users cannot write."""
    longest = 0
    for term, e in zip(terms, exprs, strict=True):
        named = term.replace("...", "")
        bad = [c for c in named if not c.isascii() or not c.isalpha()]
        if bad or term.count("...") > 1:
            raise ValueError(f"einsum: invalid subscripts {term!r}; use letters and at most one '...'")
        if "..." in term:
            longest = max(longest, e.ndim - len(named))
        if e.ndim < len(named) or ("..." not in term and e.ndim != len(named)):
            raise ValueError(
                f"einstein sum subscripts string {term!r} names {len(named)} axes, but the operand has {e.ndim} "
                f"(shape {e.shape})"
            )
    dots = [chr(ord("0") + k) if k < 10 else chr(0x100 + k) for k in range(longest)]
    full = []
    for term, e in zip(terms, exprs, strict=True):
        extra = e.ndim - len(term.replace("...", ""))
        full.append(term.replace("...", "".join(dots[longest - extra :])))
    if result is None:
        every = "".join(full)
        singles = sorted(c for c in set(every) if c.isalpha() and c not in dots and every.count(c) == 1)
        return full, "".join(dots) + "".join(singles)
    named = result.replace("...", "")
    for c in named:
        if named.count(c) > 1:
            raise ValueError(f"einstein sum subscripts string includes output subscript '{c}' multiple times")
        if not any(c in term for term in full):
            raise ValueError(
                f"einstein sum subscripts string included output subscript '{c}' which never appeared in an input"
            )
    if longest and "..." not in result:
        raise ValueError(
            "output has no '...', so broadcast axes would be summed: give it in the output subscripts"
        )
    return full, result.replace("...", "".join(dots))


def _diagonals(e: Expr, term: str) -> tuple[Expr, str]:
    """An axis named twice is a diagonal."""
    while len(set(term)) < len(term):
        letter = next(c for c in term if term.count(c) > 1)
        i = term.index(letter)
        j = term.index(letter, i + 1)
        if e.shape[i] != e.shape[j]:
            raise ValueError(
                f"dimensions in single operand for collapsing index '{letter}' don't match ({e.shape[i]} != {e.shape[j]})"
            )
        # Ones on the diagonal, zeros elsewhere: the sum over one of the axes keeps the diagonal alone.
        e = _native.rechunk(e, (*e.chunks[:j], e.chunks[i], *e.chunks[j + 1 :]))
        row = _native.coord(e.chunks[i])  # type: ignore[arg-type]
        others = [k for k in range(e.ndim) if k != i]
        columns = [k for k in range(e.ndim) if k != j]
        on = call("equal", _native.expand_dims(row, others), _native.expand_dims(row, columns))
        zero = _native.astype(_native.fill(0, "|b1", ()), e.dtype)
        e = _native.reduce("sum", call("where", on, e, zero), (j,), False, e.dtype, 0.0, None, None, False)
        term = term[:j] + term[j + 1 :]
    return e, term


def _pair(x: Expr, xs: str, y: Expr, ys: str, keep: set[str]) -> tuple[Expr, str]:
    """Two operands become one: letters that nobody needs any more are summed over in a matrix product."""
    both = [c for c in xs if c in ys]
    # A letter of length one in one operand broadcasts; it cannot take part in a matrix product.
    ones = [c for c in both if x.shape[xs.index(c)] != y.shape[ys.index(c)]]
    summed = [c for c in both if c not in keep and c not in ones]
    batch = [c for c in both if c not in summed]
    if summed and not batch:
        e = _native.tensordot(x, y, [xs.index(c) for c in summed], [ys.index(c) for c in summed])
        return e, "".join(c for c in xs if c not in summed) + "".join(c for c in ys if c not in summed)
    left = [c for c in xs if c not in both]
    right = [c for c in ys if c not in both]
    if summed and not ones:
        # batch, left, summed  @  batch, summed, right
        a = _native.transpose(x, [xs.index(c) for c in (*batch, *left, *summed)])
        b = _native.transpose(y, [ys.index(c) for c in (*batch, *summed, *right)])
        if len(left) <= 1 and len(right) <= 1 and len(summed) == 1:
            a = a if left else _native.expand_dims(a, (len(batch),))
            b = b if right else _native.expand_dims(b, (len(batch) + 1,))
            e = _native.matmul(a, b)
            gone = [len(batch)] * (not left) + [len(batch) + 1] * (not right)
            return (_native.squeeze(e, gone) if gone else e), "".join((*batch, *left, *right))
    order = (*both, *left, *right)
    a = _spread(x, xs, order)
    b = _spread(y, ys, order)
    return call("multiply", a, b), "".join(order)


def _spread(e: Expr, term: str, order: Sequence[str]) -> Expr:
    """The axes in this order, with length one where the operand has none."""
    e = _native.transpose(e, [term.index(c) for c in order if c in term])
    missing = [k for k, c in enumerate(order) if c not in term]
    return _native.expand_dims(e, missing) if missing else e


def _sum_over(e: Expr, term: str, keep: set[str]) -> tuple[Expr, str]:
    axes = [k for k, c in enumerate(term) if c not in keep]
    if axes:
        e = _native.reduce("sum", e, axes, False, e.dtype, 0.0, None, None, False)
    return e, "".join(c for c in term if c in keep)


def _cost(
    i: int, j: int, terms: list[str], wanted: str, lengths: dict[str, int | None]
) -> tuple[int, int, int]:
    """The size of what a pair of operands becomes; the first pair among equals."""
    others = set(wanted).union(*(t for k, t in enumerate(terms) if k not in (i, j)))
    size = 1
    for letter in (set(terms[i]) | set(terms[j])) & others:
        size *= lengths[letter] or 1
    return (size, i, j)


def einsum(*operands: Any, out: Any = None, dtype: Any = None, optimize: Any = True, **kwargs: Any) -> Array:
    """Einstein's summation convention.

    Parameters
    ----------
    *operands
        Subscripts such as ``"ij,jk->ik"`` and the arrays, or arrays and lists of axis numbers in turn.
    out : Array or numpy.ndarray, optional
        Takes the result.
    dtype : dtype, optional
        The dtype to compute in.
    optimize : bool or str
        False contracts from left to right; otherwise the pair with the smallest result goes first.
    **kwargs
        `order` and `casting` have no effect.

    Returns
    -------
    Array
        Sums over one common axis are matrix products.

    Examples
    --------
    >>> import pantile.array as da
    >>> x = da.arange(6).reshape(2, 3)
    >>> da.einsum("ij,kj->ik", x, x).compute()
    array([[ 5, 14],
           [14, 50]])
    """
    unknown = set(kwargs) - {"order", "casting"}
    if unknown:
        raise TypeError(f"einsum() got an unexpected keyword argument {sorted(unknown)[0]!r}")
    if not operands:
        raise ValueError("must specify the einstein sum subscripts string and at least one operand")
    terms, result, arrays = _terms(operands)
    exprs = [as_expr(a) for a in arrays]
    kind = np.result_type(*(e.dtype for e in exprs)) if dtype is None else np.dtype(dtype)
    exprs = [_native.astype(e, kind.newbyteorder("=").str) for e in exprs]
    terms, wanted = _without_dots(terms, result, exprs)
    lengths: dict[str, int | None] = {}
    for term, e in zip(terms, exprs, strict=True):
        for c, n in zip(term, e.shape, strict=True):
            if lengths.setdefault(c, n) != n and 1 not in (lengths[c], n):
                raise ValueError(
                    f"operands could not be broadcast together: subscript '{c}' has lengths {lengths[c]} and {n}"
                )
            if lengths[c] == 1:
                lengths[c] = n
    work = [_diagonals(e, t) for e, t in zip(exprs, terms, strict=True)]
    while len(work) > 1:
        pairs = [(0, 1)] if optimize is False else [(i, j) for j in range(len(work)) for i in range(j)]

        i, j = min(pairs, key=lambda pair: _cost(pair[0], pair[1], [t for _, t in work], wanted, lengths))
        keep = set(wanted).union(*(t for k, (_, t) in enumerate(work) if k not in (i, j)))
        (x, xs), (y, ys) = work[i], work[j]
        x, xs = _sum_over(x, xs, keep | set(ys))
        y, ys = _sum_over(y, ys, keep | set(xs))
        joined, letters = _pair(x, xs, y, ys, keep)
        joined, letters = _sum_over(joined, letters, keep)
        work = [w for k, w in enumerate(work) if k not in (i, j)] + [(joined, letters)]
    e, term = _sum_over(*work[0], set(wanted))
    e = _native.transpose(e, [term.index(c) for c in wanted]) if term != wanted else e
    return finish([_native.astype(e, kind.newbyteorder("=").str)], "einsum", out)
