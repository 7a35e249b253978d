"""A sum whose two operands lie crosswise in memory, reduced at once: tiles, fusion and all cores."""

from ..case import Case, Ratio
from ..data import random_array

CASE = Case(
    name="transpose_std",
    title="(x + x.T).std(), 10000² f64",
    limits=(Ratio("numpy", 0.1),),
    full={"shape": (10_000, 10_000), "dask_chunks": (2_000, 2_000)},
    quick={"shape": (300, 300), "dask_chunks": (100, 100)},
)


@CASE.variant("pantile")
def _pantile(p):
    import pantile.array as da

    x = da.from_array(random_array(p["shape"]))
    return lambda: (x + x.T).std().compute()


@CASE.variant("numpy")
def _numpy(p):
    x = random_array(p["shape"])
    return lambda: (x + x.T).std()


@CASE.variant("dask")
def _dask(p):
    import dask.array as da

    x = da.from_array(random_array(p["shape"]), chunks=p["dask_chunks"], name=False)
    return lambda: (x + x.T).std().compute()


@CASE.variant("numba")
def _numba(p):
    import numba

    # Two passes, as NumPy does it: a single pass of sums of squares would be quicker and lose digits.
    @numba.njit(parallel=True, fastmath=True)
    def std(x):
        n = x.shape[0]
        total = 0.0
        for i in numba.prange(n):
            for j in range(n):
                total += x[i, j] + x[j, i]
        mean = total / (n * n)
        squares = 0.0
        for i in numba.prange(n):
            for j in range(n):
                d = x[i, j] + x[j, i] - mean
                squares += d * d
        return (squares / (n * n)) ** 0.5

    x = random_array(p["shape"])
    return lambda: std(x)


@CASE.variant("jax")
def _jax(p):
    import jax

    jax.config.update("jax_enable_x64", True)
    x = jax.device_put(random_array(p["shape"]))
    std = jax.jit(lambda x: (x + x.T).std())
    return lambda: std(x).block_until_ready()
