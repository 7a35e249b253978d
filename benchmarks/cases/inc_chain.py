"""Twenty thousand calls, each of the result of the one before: what a call costs when nothing can go on beside it.

Building the calls and running them are timed together.
"""

from ..case import Case, Ratio
from .inc_sum import inc

CASE = Case(
    name="inc_chain",
    title="chain of 20 000 inc",
    limits=(Ratio("dask", 0.005),),
    full={"size": 20_000},
    quick={"size": 200},
    group="Functions and bags",
    rtol=0.0,
    expected=[1.0],
)


def chaining(delayed, p):
    """The work in the words of both libraries."""

    def run():
        call = delayed(inc)
        value = 0
        for _ in range(p["size"]):
            value = call(value)
        return value.compute() / p["size"]

    return run


@CASE.variant("pantile")
def _pantile(p):
    from pantile import delayed

    return chaining(delayed, p)


@CASE.variant("dask")
def _dask(p):
    from dask import delayed

    return chaining(delayed, p)
