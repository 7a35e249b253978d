"""The whole SVD of a matrix that is chunked in both dimensions, which Dask refuses."""

from ..case import Case, Ratio
from ..data import random_array

CASE = Case(
    name="svd_blocks",
    title="svd of 2000², chunks 500² (Dask cannot)",
    limits=(Ratio("numpy", 1.2),),
    full={"shape": (2_000, 2_000), "chunks": (500, 500)},
    quick={"shape": (60, 60), "chunks": (20, 20)},
    rtol=1e-9,
    atol=1e-9,
)


def summary(result):
    """The singular values, how far the product is from being the matrix, and the vectors from being orthonormal.

    The vectors themselves are compared with nothing: their signs are the library's choice.
    """
    import numpy as np

    u, s, v, x = result
    identity = np.eye(len(s))
    return [
        *s,
        np.abs((u * s) @ v - x).max() / s[0],
        np.abs(u.T @ u - identity).max(),
        np.abs(v @ v.T - identity).max(),
    ]


CASE.summary = summary


@CASE.variant("pantile")
def _pantile(p):
    import pantile
    import pantile.array as da

    values = random_array(p["shape"])
    x = da.from_array(values, chunks=p["chunks"])

    def run():
        return (*pantile.compute(*da.linalg.svd(x)), values)

    return run


@CASE.variant("numpy")
def _numpy(p):
    import numpy as np

    x = random_array(p["shape"])
    return lambda: (*np.linalg.svd(x, full_matrices=False), x)
