#!/usr/bin/env python3
"""Write the tables in tests/data that say what NumPy does; the Rust tests check every line.

Run with the NumPy whose behaviour is the reference (2.4): ``python crates/types/tests/make_tables.py [name ...]``.
The tables are committed, so that the tests need no Python.
"""

import itertools
import sys
import warnings
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"
NUMBERS = ["|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16"]
UNITS = ["", "[Y]", "[M]", "[W]", "[D]", "[h]", "[m]", "[s]", "[ms]", "[us]", "[ns]", "[ps]", "[fs]", "[as]"]
UNITS += ["[10Y]", "[7M]", "[7D]", "[3h]", "[25s]", "[10ns]"]
FOREIGN = ["|S0", "|S1", "|S5", "|S40", "|S70", "<U0", "<U1", "<U5", "<U40", "<U70", "|V4", "|V16", "|O"]
CASTINGS = ["no", "equiv", "safe", "same_kind", "unsafe"]
WEAK = {"bool": True, "int": 1, "-int": -1, "float": 1.5, "complex": 1j}


def attempt(function, *args):
    """The result, or ``!`` and the exception's builtin base."""
    try:
        return function(*args)
    except (TypeError, ValueError, OverflowError) as error:
        base = next(b for b in (OverflowError, TypeError, ValueError) if isinstance(error, b))
        return "!" + base.__name__


def write(name, lines):
    text = "\n".join(lines) + "\n"
    (DATA / name).write_text(text)
    print(f"{name}: {len(lines)} lines, {len(text)} bytes")


def promotion():
    """pair A B PROMOTED CASTING; weak A KIND RESULT; triple A B C RESULT; only KIND... RESULT"""
    lines = []
    names = NUMBERS + ["<M8" + u for u in UNITS] + ["<m8" + u for u in UNITS] + FOREIGN
    for a, b in itertools.product(names, repeat=2):
        promoted = attempt(lambda: np.promote_types(a, b).str)
        allowed = [c for c in CASTINGS if np.can_cast(np.dtype(a), np.dtype(b), c)]
        assert not allowed or allowed == CASTINGS[CASTINGS.index(allowed[0]) :]
        lines.append(f"pair {a} {b} {promoted} {allowed[0] if allowed else 'never'}")
    for a in names:
        for kind, value in WEAK.items():
            lines.append(f"weak {a} {kind} " + attempt(lambda: np.result_type(np.dtype(a), value).str))
    for a, b, c in itertools.combinations(NUMBERS, 3):
        for x, y, z in itertools.permutations((a, b, c)):
            lines.append(f"triple {x} {y} {z} " + np.result_type(np.dtype(x), np.dtype(y), np.dtype(z)).str)
    for kinds in itertools.chain.from_iterable(itertools.product(WEAK, repeat=n) for n in (1, 2, 3)):
        lines.append(f"only {' '.join(kinds)} " + attempt(lambda: np.result_type(*[WEAK[k] for k in kinds]).str))
    write("promotion.txt", lines)


TIMES = ["<M8[ns]", "<M8[s]", "<M8[D]", "<M8[M]", "<M8", "<m8[ns]", "<m8[s]", "<m8[D]", "<m8[Y]", "<m8"]
PYTHON = {"int": int, "float": float, "complex": complex}
LEFT_OUT = {"matmul", "vecdot", "vecmat", "matvec"}


def ufuncs():
    """NumPy's elementwise ufuncs of numbers, once each, by name."""
    found = {u.__name__: u for u in vars(np).values() if isinstance(u, np.ufunc)}
    return [found[name] for name in sorted(found) if name not in LEFT_OUT]


def ones(name):
    return PYTHON[name](1) if name in PYTHON else np.ones(1, name)


FUNCTIONS = {
    "where": (3, lambda c, a, b: np.where(c, a, b)),
    "clip": (3, lambda x, lo, hi: np._core.umath.clip(x, lo, hi)),
    "real": (1, np.real),
    "imag": (1, np.imag),
    "angle": (1, np.angle),
    "nan_to_num": (1, np.nan_to_num),
    "sinc": (1, np.sinc),
}


def typing():
    """u OP OPERANDS : inputs and outputs, as data types by comma, ! where NumPy raises. f OP OPERANDS : output"""
    lines = []
    names = NUMBERS + TIMES + list(PYTHON)
    for u in ufuncs():
        for first in itertools.product(names, repeat=u.nin - 1):
            tokens = []
            for last in names:
                operands = (*first, last)
                if all(o in PYTHON for o in operands):
                    tokens.append("-")
                    continue
                given = tuple(PYTHON.get(o) or np.dtype(o) for o in operands)
                found = attempt(lambda: u.resolve_dtypes(given + (None,) * u.nout))
                tokens.append("!" if isinstance(found, str) else ",".join(d.str for d in found))
            lines.append(" ".join(["u", u.__name__, *first, ":", *tokens]))
    for name, (nin, function) in FUNCTIONS.items():
        numbers = NUMBERS + ["<M8[s]", "<m8[ns]", "<m8[D]", "int", "float", "complex"]
        if nin == 1:
            numbers = NUMBERS
        heads = itertools.product(["|b1", "<i4"] if name == "where" else numbers, numbers) if nin == 3 else [()]
        for first in heads:
            tokens = []
            for last in numbers:
                if all(o in PYTHON for o in (*first, last)[-2:]):
                    tokens.append("-")
                    continue
                result = attempt(lambda: function(*map(ones, (*first, last))).dtype.str)
                tokens.append("!" if result.startswith("!") else result)
            lines.append(" ".join(["f", name, *first, ":", *tokens]))
    lines.append("names " + " ".join(names))
    lines.append("numbers " + " ".join(NUMBERS + ["<M8[s]", "<m8[ns]", "<m8[D]", "int", "float", "complex"]))
    write("typing.txt", lines[-2:] + lines[:-2])


REDUCTIONS = ["sum", "prod", "min", "max", "any", "all", "argmin", "argmax", "mean", "var", "std", "ptp", "count_nonzero"]
REDUCTIONS += ["nansum", "nanprod", "nanmin", "nanmax", "nanargmin", "nanargmax", "nanmean", "nanvar", "nanstd"]


def reductions():
    """type NAME DTYPE OUTPUT; as NAME DTYPE REQUESTED OUTPUT; empty NAME RESULT-OR-MESSAGE"""
    lines = []
    for name in REDUCTIONS:
        function = getattr(np, name)
        for dtype in NUMBERS + TIMES:
            if dtype in ("<M8", "<m8"):
                continue
            result = attempt(lambda: np.asarray(function(np.ones(3, dtype))).dtype.str)
            lines.append(f"type {name} {dtype} {'!' if result.startswith('!') else result}")
            if name.removeprefix("nan") not in ("sum", "prod", "mean", "var", "std") or dtype not in NUMBERS:
                continue
            for requested in NUMBERS:
                if name.removeprefix("nan") in ("mean", "var", "std") and np.dtype(requested).kind not in "fc":
                    continue
                result = attempt(lambda: np.asarray(function(np.ones(3, dtype), dtype=requested)).dtype.str)
                lines.append(f"as {name} {dtype} {requested} {'!' if result.startswith('!') else result}")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = str(function(np.ones(0)))
            except ValueError as error:
                result = "!" + str(error)
        lines.append(f"empty {name} {result} {'; '.join(str(w.message) for w in caught)}".rstrip())
    write("reductions.txt", lines)


def main():
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    DATA.mkdir(exist_ok=True)
    tables = {f.__name__: f for f in (promotion, typing, reductions)}
    for name in sys.argv[1:] or tables:
        tables[name]()


if __name__ == "__main__":
    main()
