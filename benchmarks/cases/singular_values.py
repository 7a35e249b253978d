"""Singular values of a tall matrix: QR of the blocks, then a small SVD, and no vectors that nobody asked for."""

from ..case import Case, Ratio
from ..data import random_array

CASE = Case(
    name="singular_values",
    title="singular values, 400 000 × 100",
    limits=(Ratio("numpy", 0.2),),
    full={"shape": (400_000, 100), "chunks": (20_000, 100)},
    quick={"shape": (4_000, 20), "chunks": (1_000, 20)},
    summary=list,
)


@CASE.variant("pantile")
def _pantile(p):
    import pantile.array as da

    x = da.from_array(random_array(p["shape"]), chunks=p["chunks"])
    return lambda: da.linalg.svd(x)[1].compute()


@CASE.variant("numpy")
def _numpy(p):
    import numpy as np

    x = random_array(p["shape"])
    return lambda: np.linalg.svd(x, compute_uv=False)


@CASE.variant("dask")
def _dask(p):
    import dask.array as da

    x = da.from_array(random_array(p["shape"]), chunks=p["chunks"], name=False)
    return lambda: da.linalg.svd(x)[1].compute()
