"""From chunks of columns to chunks of rows: a streaming exchange instead of an all-to-all of tiny tasks.

A maximum does not care about chunks, so an optimiser may drop the rechunk: that is a fair way to win, and Dask may do it too.
"""

from ..case import Case, Ratio
from ..data import random_array

CASE = Case(
    name="rechunk_max",
    title="rechunk 12000² from columns to rows, then max",
    limits=(Ratio("dask", 0.25),),
    full={"shape": (12_000, 12_000), "columns": (12_000, 500), "rows": (500, 12_000)},
    quick={"shape": (300, 300), "columns": (300, 50), "rows": (50, 300)},
    rtol=0.0,
)


@CASE.variant("pantile")
def _pantile(p):
    import pantile.array as da

    x = da.from_array(random_array(p["shape"]), chunks=p["columns"])
    return lambda: x.rechunk(p["rows"]).max().compute()


@CASE.variant("dask")
def _dask(p):
    import dask.array as da

    x = da.from_array(random_array(p["shape"]), chunks=p["columns"], name=False)
    return lambda: x.rechunk(p["rows"]).max().compute()
