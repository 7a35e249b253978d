"""Twenty thousand calls that need nothing of each other, and their sum: what a call costs when the function does nothing.

Building the calls and running them are timed together. The pool of threads is there before the clock starts. Dask's
time is its own, and its scheduler's default: threads.
"""

from ..case import Case, Ratio

CASE = Case(
    name="inc_sum",
    title="20 000 independent inc, summed",
    limits=(Ratio("dask", 0.01), Ratio("threadpool", 1.0)),
    full={"size": 20_000},
    quick={"size": 200},
    group="Functions and bags",
    rtol=0.0,
    expected=[1.0],
)


def inc(x):
    """One more."""
    return x + 1


def right(p):
    """The sum that must come out; answers are given as its multiples."""
    return p["size"] * (p["size"] + 1) // 2


def summing(delayed, p):
    """The work in the words of both libraries."""

    def run():
        call = delayed(inc)
        return delayed(sum)([call(i) for i in range(p["size"])]).compute() / right(p)

    return run


@CASE.variant("pantile")
def _pantile(p):
    from pantile import delayed

    return summing(delayed, p)


@CASE.variant("dask")
def _dask(p):
    from dask import delayed

    return summing(delayed, p)


@CASE.variant("threadpool")
def _threadpool(p):
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor()
    return lambda: sum(pool.map(inc, range(p["size"]))) / right(p)
