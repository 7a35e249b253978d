"""A hundred calls in other processes, each of which returns an array of 10 MB: what it costs to bring results back.

Three cases, since it matters what becomes of the results: all are kept, as ``compute`` has it; all are kept, as
``list(executor.map(...))`` has it; each is summed by who asked, and dropped before the next.

Everybody's worker processes run before the clock starts. The limit is set against ``ProcessPoolExecutor`` as this Python
starts it on Linux (by fork, up to 3.13). Spawned workers, which are what Pantile's are, and joblib's loky are shown.

The memory in the table is what the asking process has touched. Pantile's results lie in shared memory that is mapped and not
copied, so those that are kept do not count there before they are read, and what reading costs is seen in the third case only.
"""

from functools import partial

from ..case import Case, Ratio


def array(length, value):
    """What a worker makes: the cheapest array that has all of its memory."""
    import numpy as np

    return np.full(length, float(value))


def look(arrays):
    """How many arrays there are, and the sum of all numbers in them. None is kept."""
    count, total = 0, 0.0
    for found in arrays:
        count += 1
        total += float(found.sum())
    return [count, total]


def computed(p):
    """Pantile's delayed calls, run at once."""
    import pantile

    call = pantile.delayed(partial(array, p["length"]))
    return lambda: pantile.compute(*[call(i) for i in range(p["calls"])], executor="processes")


def mapped(consume, p):
    """Pantile's executor, used as ``ProcessPoolExecutor`` is."""
    from pantile.futures import Executor

    pool = Executor(kind="processes")
    return lambda: consume(pool.map(partial(array, p["length"]), range(p["calls"])))


def case(name, title, own, kept):
    """A case: Pantile's way, and the peers, all of which keep the results or drop them."""
    made = Case(
        name=name,
        title=title,
        limits=(Ratio("processpool", 0.5),),
        full={"calls": 100, "length": 1_250_000},
        quick={"calls": 4, "length": 50_000},
        group="Functions and bags",
        rtol=0.0,
        summary=look if kept else lambda answer: answer,
    )
    consume = list if kept else look
    made.variant("pantile")(own)

    def pooled(start_method, p):
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        pool = ProcessPoolExecutor(mp_context=multiprocessing.get_context(start_method))
        return lambda: consume(pool.map(partial(array, p["length"]), range(p["calls"])))

    @made.variant("processpool")
    def _processpool(p):
        # The default of the Pythons that are supported, on Linux; 3.14 has another.
        return pooled("fork", p)

    @made.variant("processpool_spawn")
    def _processpool_spawn(p):
        return pooled("spawn", p)

    @made.variant("loky")
    def _loky(p):
        import joblib

        parallel = joblib.Parallel(n_jobs=-1, return_as="list" if kept else "generator")
        make = joblib.delayed(partial(array, p["length"]))
        return lambda: consume(parallel(make(i) for i in range(p["calls"])))

    return made


COMPUTED = case("process_arrays", "100 × 10 MB from processes, compute", computed, kept=True)
MAPPED = case("process_arrays_map", "100 × 10 MB from processes, map, kept", partial(mapped, list), kept=True)
DROPPED = case(
    "process_arrays_drop",
    "100 × 10 MB from processes, map, each summed",
    partial(mapped, look),
    kept=False,
)
