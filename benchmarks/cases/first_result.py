"""The first result of an interpreter that has just started, beside the import alone.

``import pantile`` loads nothing; the first node and the first run load the extension and what a run needs, and start threads.
So this limit is on all of that.
"""

from ..case import Case, Over
from .import_time import starting

CASE = Case(
    name="first_result",
    title="first result: delayed(inc)(1).compute()",
    limits=(Over("import", 0.005),),
    full={},
    quick={},
    group="Starting",
    repeats=25,
    expected=[0.0],
)

CODE = """
def inc(x):
    return x + 1
assert {name}.delayed(inc)(1).compute() == 2
"""


@CASE.variant("pantile")
def _pantile(p):
    return starting("import pantile" + CODE.format(name="pantile"))


@CASE.variant("import")
def _import(p):
    return starting("import pantile")


@CASE.variant("dask")
def _dask(p):
    import importlib.util

    if importlib.util.find_spec("dask") is None:
        raise ModuleNotFoundError("dask")
    return starting("import dask" + CODE.format(name="dask"))
