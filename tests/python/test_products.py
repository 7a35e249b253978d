"""Matrix products and linear algebra, against NumPy's."""

from __future__ import annotations

import numpy as np
import pantile
import pantile.array as da
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pantile import config

from tests.python.helpers import check, cuts, same_error

RNG = np.random.default_rng(7)


def matrix(*shape: int, dtype: str = "f8") -> np.ndarray:
    x = RNG.normal(size=shape)
    return (x + 1j * RNG.normal(size=shape)).astype(dtype) if np.dtype(dtype).kind == "c" else x.astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", "i4", "?"])
@pytest.mark.parametrize(
    "shapes",
    [
        ((4, 5), (5, 3)),
        ((5,), (5, 3)),
        ((4, 5), (5,)),
        ((5,), (5,)),
        ((2, 4, 5), (5, 3)),
        ((2, 1, 4, 5), (3, 5, 2)),
        ((0, 5), (5, 3)),
        ((4, 0), (0, 3)),
    ],
)
def test_matmul_and_dot(shapes, dtype) -> None:
    x, y = (
        (matrix(*s) * 3).astype(dtype) if dtype in ("i4", "?") else matrix(*s, dtype=dtype) for s in shapes
    )
    a, b = da.from_array(x, chunks=2), da.from_array(y, chunks=3)
    tolerance = 1e-4 if dtype in ("f4", "c8") else 1e-11
    check(a @ b, x @ y, tolerance, atol=1e-5 if dtype in ("f4", "c8") else 1e-12)
    check(da.dot(a, b), np.dot(x, y), tolerance, atol=1e-5 if dtype in ("f4", "c8") else 1e-12)
    check(x @ b, x @ y, tolerance, atol=1e-5 if dtype in ("f4", "c8") else 1e-12)


@given(data=st.data())
def test_tensordot(data) -> None:
    lengths = {"a": 2, "b": 3, "c": 4, "d": 1}
    left = data.draw(st.permutations("abcd"))[: data.draw(st.integers(1, 4))]
    right = data.draw(st.permutations("abcd"))[: data.draw(st.integers(1, 4))]
    common = [c for c in left if c in right]
    x, y = (RNG.integers(-5, 5, [lengths[c] for c in t]).astype(float) for t in (left, right))
    axes = ([left.index(c) for c in common], [right.index(c) for c in common])
    a, b = (da.from_array(v, chunks=data.draw(cuts(v.shape))) for v in (x, y))
    check(da.tensordot(a, b, axes), np.tensordot(x, y, axes))


@pytest.mark.parametrize(
    "text, shapes",
    [
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("ij,kj", [(3, 4), (5, 4)]),
        ("ii->i", [(4, 4)]),
        ("ii", [(4, 4)]),
        ("ij->ji", [(3, 4)]),
        ("i,i", [(4,), (4,)]),
        ("i,j->ij", [(3,), (4,)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("...ij,...jk", [(2, 3, 4), (4, 5)]),
        ("ij,jk,kl->il", [(3, 4), (4, 5), (5, 2)]),
        ("ijk->", [(2, 3, 4)]),
        ("ij,ij->j", [(3, 4), (3, 4)]),
        ("abc,cd,be->ade", [(2, 3, 4), (4, 5), (3, 2)]),
        ("...i->...", [(2, 3, 4)]),
        ("ij,j->i", [(3, 4), (4,)]),
        ("bi,bi->b", [(3, 4), (3, 4)]),
        ("i...,i...->...", [(3, 4), (3, 4)]),
        ("ij,jk->ik", [(3, 1), (4, 5)]),
    ],
)
def test_einsum(text, shapes) -> None:
    xs = [RNG.integers(-5, 5, s).astype(float) for s in shapes]
    arrays = [da.from_array(x, chunks=2) for x in xs]
    for optimize in (False, True):
        check(da.einsum(text, *arrays, optimize=optimize), np.asarray(np.einsum(text, *xs)), 1e-12)


def test_einsum_with_lists_and_mistakes() -> None:
    x, y = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 5))
    check(
        da.einsum(da.from_array(x), [0, 1], y, [1, 2], [0, 2]),
        np.einsum(x, [0, 1], y, [1, 2], [0, 2]),
        1e-12,
        1e-12,
    )
    for text in ("ij,jk", "ij->ijk", "ij,kl->x", "i->i", "ij->ii", "i$->i"):
        same_error(lambda text=text: da.einsum(text, da.from_array(x)), lambda text=text: np.einsum(text, x))


def test_other_products() -> None:
    x, y = matrix(3, 4), matrix(5, 4)
    a, b = da.from_array(x, chunks=2), da.from_array(y, chunks=3)
    check(da.inner(a, b), np.inner(x, y), 1e-12, 1e-13)
    check(da.outer(a, b), np.outer(x, y))
    check(da.vdot(a, a), np.vdot(x, x), 1e-12)
    check(da.kron(a, b), np.kron(x, y))
    check(da.dot(a, 2.0), np.dot(x, 2.0))


def test_shapes_that_do_not_fit() -> None:
    x = np.ones((3, 4))
    for name in ("matmul", "dot"):
        same_error(
            lambda name=name: getattr(da, name)(da.from_array(x), da.from_array(x)),
            lambda name=name: getattr(np, name)(x, x),
        )
    same_error(lambda: da.tensordot(da.from_array(x), x, ([0], [1])), lambda: np.tensordot(x, x, ([0], [1])))
    same_error(lambda: da.from_array(x) @ 2, lambda: x @ 2)


SHAPES = [(12, 4), (4, 12), (9, 9), (1, 5), (5, 1), (30, 3)]
CHUNKS = [(3, 2), (4, -1), (-1, 2), (-1, -1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_qr_and_svd(shape, chunks, dtype) -> None:
    x = matrix(*shape, dtype=dtype)
    a = da.from_array(x, chunks=chunks)
    k = min(shape)
    q, r = da.linalg.qr(a)
    assert (q.shape, r.shape) == ((shape[0], k), (k, shape[1]))
    q, r, product = pantile.compute(q, r, q @ r)
    np.testing.assert_allclose(product, x, atol=1e-12)
    np.testing.assert_allclose(q.conj().T @ q, np.eye(k), atol=1e-12)
    np.testing.assert_allclose(np.tril(r, -1), 0, atol=1e-13)
    u, s, vh = pantile.compute(*da.linalg.svd(a))
    np.testing.assert_allclose((u * s) @ vh, x, atol=1e-11)
    np.testing.assert_allclose(s, np.linalg.svd(x, compute_uv=False), atol=1e-11)
    check(da.linalg.svdvals(a), s, 1e-10)


def test_svd_with_full_matrices() -> None:
    x = matrix(6, 3)
    u, s, vh = pantile.compute(*np.linalg.svd(da.from_array(x, chunks=2)))
    assert u.shape == (6, 6)
    np.testing.assert_allclose((u[:, :3] * s) @ vh, x, atol=1e-12)


@pytest.mark.parametrize("chunks", [3, 4, -1])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
def test_square(chunks, dtype) -> None:
    x = matrix(9, 9, dtype=dtype)
    y = matrix(9, 2, dtype=dtype)
    positive = x @ x.conj().T + 9 * np.eye(9, dtype=dtype)
    a, b, p = (da.from_array(v, chunks=chunks) for v in (x, y, positive))
    tolerance = {"rtol": 2e-2, "atol": 1e-3} if dtype == "f4" else {"rtol": 1e-8, "atol": 1e-9}
    check(da.linalg.solve(a, b), np.linalg.solve(x, y), **tolerance)
    check(da.linalg.solve(a, b[:, 0]), np.linalg.solve(x, y[:, 0]), **tolerance)
    check(da.linalg.inv(a), np.linalg.inv(x), **tolerance)
    check(da.linalg.det(a), np.linalg.det(x), **tolerance)
    for ours, numpys in zip(da.linalg.slogdet(a), np.linalg.slogdet(x), strict=True):
        check(ours, numpys, **tolerance)
    check(da.linalg.cholesky(p), np.linalg.cholesky(positive), **tolerance)
    check(da.linalg.cholesky(p, upper=True), np.linalg.cholesky(positive, upper=True), **tolerance)
    lower = np.tril(positive)
    check(da.linalg.solve_triangular(p, b, lower=True), np.linalg.solve(lower, y), **tolerance)
    check(
        da.linalg.solve_triangular(p, b, lower=True, trans="C"),
        np.linalg.solve(lower.conj().T, y),
        **tolerance,
    )
    check(da.linalg.matrix_power(p, 3), np.linalg.matrix_power(positive, 3), **tolerance)


def test_lstsq() -> None:
    x, y = matrix(12, 4), matrix(12, 2)
    ours = da.linalg.lstsq(da.from_array(x, chunks=(5, 4)), da.from_array(y, chunks=5))
    for o, n in zip(ours, np.linalg.lstsq(x, y, rcond=None), strict=True):
        np.testing.assert_allclose(o.compute(), n, atol=1e-10)


@pytest.mark.parametrize("ord", [None, "fro", "nuc", np.inf, -np.inf, 1, -1, 2, -2])
@pytest.mark.parametrize("keepdims", [False, True])
def test_matrix_norms(ord, keepdims) -> None:
    x = matrix(5, 4)
    check(
        da.linalg.norm(da.from_array(x, chunks=2), ord, keepdims=keepdims),
        np.linalg.norm(x, ord, keepdims=keepdims),
        1e-11,
    )


@pytest.mark.parametrize("ord", [None, np.inf, -np.inf, 0, 1, 2, 3, 0.5])
def test_vector_norms(ord) -> None:
    x = matrix(5, 4)
    check(da.linalg.norm(da.from_array(x, chunks=2), ord, axis=1), np.linalg.norm(x, ord, axis=1), 1e-12)
    check(da.linalg.norm(da.from_array(x[0], chunks=2), ord), np.linalg.norm(x[0], ord), 1e-12)


def test_singular_and_indefinite_matrices_are_found_out() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        da.linalg.solve(da.ones((4, 4), chunks=2), da.ones(4)).compute()
    with pytest.raises(np.linalg.LinAlgError):
        da.linalg.cholesky(-da.eye(4, chunks=2)).compute()


def test_wrong_matrices() -> None:
    for name in ("inv", "det", "cholesky"):
        same_error(
            lambda name=name: getattr(da.linalg, name)(da.ones((2, 3))),
            lambda name=name: getattr(np.linalg, name)(np.ones((2, 3))),
        )
        same_error(
            lambda name=name: getattr(da.linalg, name)(da.ones(3)),
            lambda name=name: getattr(np.linalg, name)(np.ones(3)),
        )
    with pytest.raises(NotImplementedError, match="stack"):
        da.linalg.inv(da.ones((2, 3, 3)))


def test_the_memory_limit_decides_what_is_too_large() -> None:
    x = da.ones((400, 300), chunks=100)
    with config.set(memory_limit="100MiB"):
        assert da.linalg.svd(x).U.shape == (400, 300)
    # 104 bytes an element of the square are 9 MiB, 32 are 3 MiB.
    with config.set(memory_limit="8MiB"):
        with pytest.raises(
            NotImplementedError, match=r"\(400, 300\).*half of the memory limit.*singular values"
        ):
            da.linalg.svd(x)
        assert da.linalg.svdvals(x).shape == (300,)
        # QR is tiled: no size is too large.
        assert da.linalg.qr(x).Q.shape == (400, 300)
    with config.set(memory_limit="2MiB"), pytest.raises(NotImplementedError, match="set memory_limit to"):
        da.linalg.svdvals(x)
