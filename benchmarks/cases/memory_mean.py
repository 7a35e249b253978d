"""The mean of an array in memory: one pass at the speed of memory, on all cores."""

from ..case import Case, Ratio
from ..data import random_array

CASE = Case(
    name="memory_mean",
    title="mean of 1.6 GB of f64 in memory",
    limits=(Ratio("numpy", 0.6), Ratio("jax", 1.1)),
    full={"shape": (200_000_000,), "dask_chunks": "auto"},
    quick={"shape": (200_000,), "dask_chunks": 50_000},
)


@CASE.variant("pantile")
def _pantile(p):
    import pantile.array as da

    x = da.from_array(random_array(p["shape"]))
    return lambda: x.mean().compute()


@CASE.variant("numpy")
def _numpy(p):
    x = random_array(p["shape"])
    return lambda: x.mean()


@CASE.variant("dask")
def _dask(p):
    import dask.array as da

    x = da.from_array(random_array(p["shape"]), chunks=p["dask_chunks"], name=False)
    return lambda: x.mean().compute()


@CASE.variant("numba")
def _numba(p):
    import numba

    @numba.njit(parallel=True, fastmath=True)
    def mean(values):
        total = 0.0
        for i in numba.prange(values.size):
            total += values[i]
        return total / values.size

    x = random_array(p["shape"])
    return lambda: mean(x)


@CASE.variant("jax")
def _jax(p):
    import jax

    jax.config.update("jax_enable_x64", True)
    x = jax.device_put(random_array(p["shape"]))
    mean = jax.jit(lambda values: values.mean())
    return lambda: mean(x).block_until_ready()
