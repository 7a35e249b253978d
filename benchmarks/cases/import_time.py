"""``import pantile`` beside ``import numpy`` alone, each in an interpreter that has just started."""

from ..case import Case, Over

CASE = Case(
    name="import_time",
    title="import pantile",
    limits=(Over("numpy", 0.050),),
    full={},
    quick={},
    group="Starting",
    repeats=25,
    expected=[0.0],
)


def starting(code):
    """Runs ``code`` in a new interpreter; answers its exit status.

    Modules are kept compiled, as they are where a package was installed, also where this process was told not to write them.
    """
    import os
    import subprocess
    import sys

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return lambda: subprocess.run([sys.executable, "-c", code], check=True, env=environment).returncode


@CASE.variant("pantile")
def _pantile(p):
    return starting("import numpy, pantile")


@CASE.variant("numpy")
def _numpy(p):
    return starting("import numpy")


@CASE.variant("dask")
def _dask(p):
    import importlib.util

    if importlib.util.find_spec("dask") is None:
        raise ModuleNotFoundError("dask")
    return starting("import numpy, dask.array")
