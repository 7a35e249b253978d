"""Ten years of random daily maps, each cell standardised over time: the shape of half of climate science.

The libraries draw different numbers, so the answer is compared with mathematics: the mean distance from the mean of a uniform
variable, in standard deviations, is √3/2.
"""

from ..case import Case, Ratio

CASE = Case(
    name="anomaly",
    title="mean/std anomaly of random (3650, 180, 360)",
    limits=(Ratio("dask", 0.5),),
    full={"shape": (3_650, 180, 360), "dask_chunks": (3_650, 30, 30)},
    quick={"shape": (730, 18, 36), "dask_chunks": (730, 6, 6)},
    # Six standard errors at the quick size; the full one is far closer.
    rtol=5e-3,
    expected=[3**0.5 / 2],
)


@CASE.variant("pantile")
def _pantile(p):
    import pantile.array as da

    def run():
        x = da.random.default_rng(0).random(p["shape"])
        return abs((x - x.mean(axis=0)) / x.std(axis=0)).mean().compute()

    return run


@CASE.variant("dask")
def _dask(p):
    import dask.array as da

    def run():
        x = da.random.default_rng(0).random(p["shape"], chunks=p["dask_chunks"])
        return abs((x - x.mean(axis=0)) / x.std(axis=0)).mean().compute()

    return run
