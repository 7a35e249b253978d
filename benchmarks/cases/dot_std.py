"""A matrix product inside an expression: as fast as the BLAS that NumPy calls, although it is cut into blocks."""

from ..case import Case, Ratio
from ..data import random_array

CASE = Case(
    name="dot_std",
    title="(x.dot(x.T + 1) - x.mean()).std(), 4000²",
    limits=(Ratio("numpy", 1.1),),
    full={"shape": (4_000, 4_000), "dask_chunks": (2_000, 2_000)},
    quick={"shape": (200, 200), "dask_chunks": (100, 100)},
)


@CASE.variant("pantile")
def _pantile(p):
    import pantile.array as da

    x = da.from_array(random_array(p["shape"]))
    return lambda: (x.dot(x.T + 1) - x.mean()).std().compute()


@CASE.variant("numpy")
def _numpy(p):
    x = random_array(p["shape"])
    return lambda: (x.dot(x.T + 1) - x.mean()).std()


@CASE.variant("dask")
def _dask(p):
    import dask.array as da

    x = da.from_array(random_array(p["shape"]), chunks=p["dask_chunks"], name=False)
    return lambda: (x.dot(x.T + 1) - x.mean()).std().compute()
