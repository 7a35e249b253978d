"""A long elementwise formula and a sum: one loop without temporaries, with vector exp and log.

The normal distribution function is the polynomial of Abramowitz and Stegun (26.2.17), so that every library computes the
same thing: NumPy has no erf.
"""

from ..case import Case, Ratio

RATE, VOLATILITY = 0.02, 0.30
A1, A2, A3, A4, A5 = 0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429
INV_SQRT_2PI = 0.39894228040143267793994605993438

CASE = Case(
    name="black_scholes",
    title="Black–Scholes over 20 M options, summed",
    limits=(Ratio("jax", 1.2), Ratio("numba", 0.5)),
    full={"options": 20_000_000, "dask_chunks": 1_000_000},
    quick={"options": 20_000, "dask_chunks": 5_000},
    # Sums of 20 million prices in orders that differ, and vector functions that differ in the last places.
    rtol=1e-9,
)


def options(p):
    """Prices of the stock, strikes, and years to go."""
    import numpy as np

    rng = np.random.default_rng(0)
    n = p["options"]
    return rng.uniform(5.0, 30.0, n), rng.uniform(1.0, 100.0, n), rng.uniform(0.25, 10.0, n)


def normal_cdf(xp, d):
    """The normal distribution function, with the array functions of ``xp``."""
    k = 1.0 / (1.0 + 0.2316419 * xp.abs(d))
    tail = INV_SQRT_2PI * xp.exp(-0.5 * d * d) * (k * (A1 + k * (A2 + k * (A3 + k * (A4 + k * A5)))))
    return xp.where(d > 0, 1.0 - tail, tail)


def total_price(xp, stock, strike, years):
    """The sum of the prices of call options."""
    root = xp.sqrt(years)
    d1 = (xp.log(stock / strike) + (RATE + 0.5 * VOLATILITY * VOLATILITY) * years) / (VOLATILITY * root)
    d2 = d1 - VOLATILITY * root
    call = stock * normal_cdf(xp, d1) - strike * xp.exp(-RATE * years) * normal_cdf(xp, d2)
    return call.sum()


@CASE.variant("pantile")
def _pantile(p):
    import pantile.array as da

    arrays = [da.from_array(values) for values in options(p)]
    return lambda: total_price(da, *arrays).compute()


@CASE.variant("numpy")
def _numpy(p):
    import numpy as np

    arrays = options(p)
    return lambda: total_price(np, *arrays)


@CASE.variant("dask")
def _dask(p):
    import dask.array as da

    arrays = [da.from_array(values, chunks=p["dask_chunks"], name=False) for values in options(p)]
    return lambda: total_price(da, *arrays).compute()


@CASE.variant("numba")
def _numba(p):
    import math

    import numba

    @numba.njit(fastmath=True)
    def cdf(d):
        k = 1.0 / (1.0 + 0.2316419 * abs(d))
        tail = INV_SQRT_2PI * math.exp(-0.5 * d * d) * (k * (A1 + k * (A2 + k * (A3 + k * (A4 + k * A5)))))
        return 1.0 - tail if d > 0 else tail

    @numba.njit(parallel=True, fastmath=True)
    def total(stock, strike, years):
        result = 0.0
        for i in numba.prange(stock.size):
            root = math.sqrt(years[i])
            d1 = (math.log(stock[i] / strike[i]) + (RATE + 0.5 * VOLATILITY * VOLATILITY) * years[i]) / (
                VOLATILITY * root
            )
            d2 = d1 - VOLATILITY * root
            result += stock[i] * cdf(d1) - strike[i] * math.exp(-RATE * years[i]) * cdf(d2)
        return result

    arrays = options(p)
    return lambda: total(*arrays)


@CASE.variant("jax")
def _jax(p):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    arrays = [jax.device_put(values) for values in options(p)]
    total = jax.jit(lambda *arrays: total_price(jnp, *arrays))
    return lambda: total(*arrays).block_until_ready()
