"""A hundred thousand chunks of two numbers: what a task costs when it does nothing."""

from ..case import Case, Seconds

CASE = Case(
    name="many_chunks",
    title="(ones(200000, chunks=2) + 1).sum()",
    limits=(Seconds(0.3),),
    full={"size": 200_000},
    quick={"size": 2_000},
    rtol=0.0,
    expected=[2.0],
)


@CASE.variant("pantile")
def _pantile(p):
    import pantile.array as da

    return lambda: (da.ones(p["size"], chunks=2) + 1).sum().compute() / p["size"]


@CASE.variant("dask")
def _dask(p):
    import dask.array as da

    return lambda: (da.ones(p["size"], chunks=2) + 1).sum().compute() / p["size"]
