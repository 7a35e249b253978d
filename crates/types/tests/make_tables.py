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
        lines.append(
            f"only {' '.join(kinds)} " + attempt(lambda: np.result_type(*[WEAK[k] for k in kinds]).str)
        )
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
    """u OP OPERANDS : inputs and outputs, as data types by comma, ! where NumPy raises. f OP OPERANDS : output

    d OP OPERANDS : as u, for each numeric data type as ``dtype=``
    """
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
        heads = (
            itertools.product(["|b1", "<i4"] if name == "where" else numbers, numbers) if nin == 3 else [()]
        )
        for first in heads:
            tokens = []
            for last in numbers:
                if all(o in PYTHON for o in (*first, last)[-2:]):
                    tokens.append("-")
                    continue
                result = attempt(lambda: function(*map(ones, (*first, last))).dtype.str)
                tokens.append("!" if result.startswith("!") else result)
            lines.append(" ".join(["f", name, *first, ":", *tokens]))
    some = ["|b1", "|i1", "<u8", "<f4", "<c16"]
    for u in ufuncs():
        for operands in itertools.product(some if u.nin > 1 else NUMBERS, repeat=u.nin):
            tokens = []
            for out in NUMBERS:
                given = tuple(map(np.dtype, operands)) + (None,) * u.nout
                signature = (None,) * u.nin + (np.dtype(out),) * u.nout
                found = attempt(lambda: u.resolve_dtypes(given, signature=signature, casting="same_kind"))
                tokens.append("!" if isinstance(found, str) else ",".join(d.str for d in found))
            lines.append(" ".join(["d", u.__name__, *operands, ":", *tokens]))
    lines.append("names " + " ".join(names))
    lines.append("numbers " + " ".join(NUMBERS + ["<M8[s]", "<m8[ns]", "<m8[D]", "int", "float", "complex"]))
    write("typing.txt", lines[-2:] + lines[:-2])


REDUCTIONS = [
    "sum",
    "prod",
    "min",
    "max",
    "any",
    "all",
    "argmin",
    "argmax",
    "mean",
    "var",
    "std",
    "ptp",
    "count_nonzero",
]
REDUCTIONS += [
    "nansum",
    "nanprod",
    "nanmin",
    "nanmax",
    "nanargmin",
    "nanargmax",
    "nanmean",
    "nanvar",
    "nanstd",
]


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
                if (
                    name.removeprefix("nan") in ("mean", "var", "std")
                    and np.dtype(requested).kind not in "fc"
                ):
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


FLOATS = [0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, 3, -3, 0.1, 100.7, 1e-3, np.inf, -np.inf, np.nan]
COMPLEX = [
    0,
    complex(0, -0.0),
    1,
    -1,
    1j,
    -1j,
    1 + 1j,
    1 - 1j,
    2,
    0.5 - 2.5j,
    3 + 4j,
    -2.5 + 0.1j,
    1e-3 + 1e-3j,
]
COMPLEX += [
    complex(np.inf, 0),
    complex(0, -np.inf),
    complex(np.nan, 0),
    complex(1, np.nan),
    complex(np.inf, np.inf),
]


def specials(name):
    """The values that an operation is tried on, for one data type."""
    dtype = np.dtype(name)
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        values = [0, 1, 2, 3, 7, 8, 10, 63, 64, 100, info.max, info.max - 1, info.min]
        values += [info.min + 1, -1, -2, -3, -7] if dtype.kind == "i" else [info.max // 2 + 1]
        values += [2**53 + 1] if dtype.itemsize == 8 else []
        return np.array(values, dtype)
    if dtype.kind == "f":
        info = np.finfo(dtype)
        return np.array(FLOATS + [info.smallest_subnormal, -info.tiny, info.max, -info.max], dtype)
    if dtype.kind == "c":
        return np.array(COMPLEX, dtype)
    ticks = [0, 1, -1, 2, 7, -8, 59, 365, -366, 11016, 100000, -100001]
    values = np.array([*ticks, np.iinfo("i8").min], "i8")
    return values.view(dtype)


VALUE_TYPES = ["|b1", "|i1", "|u1", "<i4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16"]
MIXED = [("<i8", "<u8"), ("<u8", "<i8"), ("|u1", "|i1")]
MIXED_IN = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "add", "power", "fmod"}
TIME_PAIRS = [
    ("<M8[D]", "<m8[h]"),
    ("<m8[s]", "<m8[s]"),
    ("<m8[s]", "<m8[D]"),
    ("<M8[s]", "<M8[D]"),
    ("<M8[M]", "<m8[D]"),
]
TIME_PAIRS += [("<m8[s]", "<i8"), ("<i4", "<m8[s]"), ("<m8[s]", "<f8"), ("<f4", "<m8[s]"), ("<M8[D]", "<i8")]
TIME_PAIRS += [("<M8[Y]", "<M8[D]"), ("<M8[25s]", "<M8[s]"), ("<M8[W]", "<M8[h]"), ("<m8[7D]", "<m8[3h]")]
CASTS = [
    "<M8[Y]",
    "<M8[M]",
    "<M8[W]",
    "<M8[D]",
    "<M8[h]",
    "<M8[25s]",
    "<M8[ms]",
    "<m8[Y]",
    "<m8[M]",
    "<m8[D]",
    "<m8[h]",
]
CASTS += ["<m8[25s]", "<m8[us]"]


def grid(names):
    return [g.ravel() for g in np.meshgrid(*map(specials, names), indexing="ij")]


def values():
    """in DTYPE HEX; v OP DTYPES HEX...; cast FROM TO HEX. Hex digits are the arrays' bytes."""
    every = NUMBERS + CASTS + sorted({n for pair in TIME_PAIRS for n in pair} - set(NUMBERS) - set(CASTS))
    lines = [f"in {name} {specials(name).tobytes().hex()}" for name in every]
    operations = [(u.__name__, u.nin, u) for u in ufuncs()]
    operations += [(name, nin, f) for name, (nin, f) in FUNCTIONS.items()]
    for name, nin, function in operations:
        cases = [(t,) * nin for t in VALUE_TYPES if nin == 1 or t not in ("<i4", "<c8")]
        if nin == 1:
            cases += [(t,) for t in ("<M8[D]", "<m8[s]") if name not in FUNCTIONS]
        elif nin == 2:
            cases += [("<f4", "<i4"), ("<f8", "<i4"), ("<f2", "|i1")] if name == "ldexp" else TIME_PAIRS
            cases += MIXED if name in MIXED_IN else []
        elif name == "where":
            cases = [
                ("|b1", "<i4", "<f4"),
                ("<f8", "|i1", "|u1"),
                ("|b1", "<M8[D]", "<M8[h]"),
                ("<c8", "|b1", "<f2"),
            ]
        else:
            cases = [("|b1",) * 3, ("<f2",) * 3, ("<m8[s]", "<m8[D]", "<m8[s]")]
        for case in cases:
            args = grid(case)
            if (
                name == "power"
                and all(np.dtype(t).kind in "iu" for t in case)
                and np.result_type(*case).kind == "i"
            ):
                # Negative integer powers raise in NumPy; the test passes over them.
                args[1] = np.where(args[1] < 0, 0, args[1]).astype(case[1])
            result = attempt(function, *args)
            if isinstance(result, str):
                continue
            results = result if isinstance(result, tuple) else (result,)
            hexes = " ".join(np.ascontiguousarray(r).tobytes().hex() for r in results)
            lines.append(f"v {name} {','.join(case)} {hexes}")
    for a, b in itertools.product(NUMBERS + CASTS, repeat=2):
        if a == b or (a in CASTS and b in CASTS and a[1] != b[1]):
            continue
        result = attempt(lambda: specials(a).astype(b))
        if not isinstance(result, str):
            lines.append(f"cast {a} {b} {result.tobytes().hex()}")
    write("values.txt", lines)


def main():
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    DATA.mkdir(exist_ok=True)
    tables = {f.__name__: f for f in (promotion, typing, reductions, values)}
    for name in sys.argv[1:] or tables:
        tables[name]()


if __name__ == "__main__":
    main()
