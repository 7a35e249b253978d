"""Tokens: equal for equal objects in every process, different for different ones, for any depth, size and shape of cycle."""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import json
import math
import operator
import os
import pathlib
import pickle
import random
import subprocess
import sys
import threading
import types
import typing
import uuid
import zoneinfo
from itertools import pairwise

import numpy as np
import pantile.array as da
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pantile import _tokenize, config, normalize_token, tokenize
from pantile._tokenize import TokenizationError


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Permission(enum.IntFlag):
    READ = 4
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0

    @functools.cached_property
    def norm(self) -> float:
        return math.hypot(self.x, self.y)


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    x: object


class Plain:
    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)

    def method(self) -> None: ...


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a: object) -> None:
        self.a = a


Pair = collections.namedtuple("Pair", "a b")
Other = collections.namedtuple("Other", "a b")


class Text(str):
    pass


class Whole(int):
    pass


class Bag(set):
    pass


class Items(list):
    pass


def inc(x: int) -> int:
    return x + 1


def zoo() -> dict[str, object]:
    """Values that all differ, by name. Made anew each time, so that no two zoos share an object that could be copied."""
    a = np.arange(12.0).reshape(3, 4)
    rng = np.random.default_rng(3)
    rng.random(5)
    values: dict[str, object] = {
        "None": None,
        "False": False,
        "True": True,
        "Ellipsis": ...,
        "NotImplemented": NotImplemented,
        "0": 0,
        "1": 1,
        "-1": -1,
        "2**63": 2**63,
        "-2**63": -(2**63),
        "2**64": 2**64,
        "-2**64": -(2**64),
        "10**100": 10**100,
        "0.0": 0.0,
        "-0.0": -0.0,
        "1.0": 1.0,
        "nan": math.nan,
        "inf": math.inf,
        "1j": 1j,
        "1+0j": 1 + 0j,
        "-0j": complex(0, -0.0),
        "''": "",
        "'1'": "1",
        "b''": b"",
        "b'1'": b"1",
        "bytearray": bytearray(b"1"),
        "memoryview": memoryview(b"1"),
        "é": "é",
        "e + accent": "e\u0301",
        "surrogate": "\ud800",
        "other surrogate": "\udfff",
        "nul": "\0",
        "two nul": "\0\0",
        "64 a": "a" * 64,
        "65 a": "a" * 65,
        "64 b'a'": b"a" * 64,
        "65 b'a'": b"a" * 65,
        "million": "x" * 10**6,
        "()": (),
        "[]": [],
        "{}": {},
        "set()": set(),
        "frozenset()": frozenset(),
        "(1,)": (1,),
        "[1]": [1],
        "{1}": {1},
        "frozenset 1": frozenset({1}),
        "[[1]]": [[1]],
        "[1, 2]": [1, 2],
        "[2, 1]": [2, 1],
        "[[1], 2]": [[1], 2],
        "[[1, 2]]": [[1, 2]],
        "[[], []]": [[], []],
        "[[[]]]": [[[]]],
        "{1: 2}": {1: 2},
        "{2: 1}": {2: 1},
        "[(1, 2)]": [(1, 2)],
        "{'a': None}": {"a": None},
        "{'a'}": {"a"},
        "mappingproxy": types.MappingProxyType({1: 2}),
        "ordered ab": collections.OrderedDict(a=1, b=2),
        "ordered ba": collections.OrderedDict([("b", 2), ("a", 1)]),
        "defaultdict": collections.defaultdict(int, a=1, b=2),
        "Counter": collections.Counter("aab"),
        "deque": collections.deque([1, 2]),
        "deque maxlen": collections.deque([1, 2], 2),
        "slice": slice(1),
        "slice 0": slice(0, 1),
        "range": range(1),
        "range 0 2": range(2),
        "range step": range(0, 2, 2),
        "Decimal": decimal.Decimal(1),
        "Decimal 1.0": decimal.Decimal("1.0"),
        "Fraction": fractions.Fraction(1, 3),
        "date": datetime.date(2020, 1, 1),
        "datetime": datetime.datetime(2020, 1, 1),
        "utc": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        "Paris": datetime.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
        "time": datetime.time(1),
        "timedelta": datetime.timedelta(1),
        "timezone": datetime.UTC,
        "Path": pathlib.Path("a"),
        "PurePath": pathlib.PurePosixPath("a"),
        "Windows": pathlib.PureWindowsPath("a"),
        "uuid": uuid.UUID(int=1),
        "red": Colour.RED,
        "green": Colour.GREEN,
        "read": Permission.READ,
        "rw": Permission.READ | Permission.WRITE,
        "Point": Point(1),
        "Point 2": Point(2),
        "Slotted": Slotted(1),
        "Plain": Plain(x=1),
        "Plain y": Plain(y=1),
        "Plain 2": Plain(x=2),
        "Slots": Slots(1),
        "Slots 2": Slots(2),
        "Pair": Pair(1, 2),
        "Other": Other(1, 2),
        "Text": Text("1"),
        "Whole": Whole(1),
        "Bag": Bag({1}),
        "Items": Items([1]),
        "array.array": __import__("array").array("i", [1]),
        "ValueError": ValueError("a"),
        "TypeError": TypeError("a"),
        # Functions and classes.
        "inc": inc,
        "len": len,
        "sin": math.sin,
        "np.sin": np.sin,
        "sum": sum,
        "np.sum": np.sum,
        "method": Plain(x=1).method,
        "append": [1].append,
        "append 2": [2].append,
        "upper": str.upper,
        "bound upper": "a".upper,
        "fromkeys": dict.fromkeys,
        "lambda": lambda x: x,
        "lambda + 1": lambda x: x + 1,
        "lambda + 2": lambda x: x + 2,
        "lambda default": lambda x=1: x,
        "lambda default 2": lambda x=2: x,
        "lambda keyword": lambda *, x=1: x,
        "lambda attribute": lambda x: x.real,
        "partial": functools.partial(inc, 1),
        "partial 2": functools.partial(inc, 2),
        "partial x": functools.partial(inc, x=1),
        "attrgetter": operator.attrgetter("a"),
        "itemgetter": operator.itemgetter(0),
        "int": int,
        "Plain class": Plain,
        "Colour class": Colour,
        "list[int]": list[int],
        "int | None": int | None,
        "module": math,
        "module json": json,
        "json.dumps": json.dumps,
        "NoneType": type(None),
        "function": types.FunctionType,
        "property": property(inc),
        "staticmethod": staticmethod(inc),
        "classmethod": classmethod(inc),
        "cached_property": functools.cached_property(inc),
        "lru_cache": functools.lru_cache(lambda: 3),
        # NumPy.
        "np.int64": np.int64(1),
        "np.int32": np.int32(1),
        "np.float64": np.float64(1),
        "np.bool": np.bool_(True),
        "np.str": np.str_("1"),
        "np.bytes": np.bytes_(b"1"),
        "np.datetime64": np.datetime64("2020-01-01"),
        "np.datetime64 s": np.datetime64("2020-01-01", "s"),
        "NaT": np.datetime64("NaT"),
        "np.longdouble": np.longdouble(1),
        "np.void": np.zeros((), "i4,i4")[()],
        "f8": np.dtype("f8"),
        ">f8": np.dtype(">f8"),
        "f4": np.dtype("f4"),
        "M8": np.dtype("M8[s]"),
        "M8 ms": np.dtype("M8[ms]"),
        "record": np.dtype([("a", "i4"), ("b", "i4")]),
        "record c": np.dtype([("a", "i4"), ("c", "i4")]),
        "packed": np.dtype("i1,i4"),
        "aligned": np.dtype("i1,i4", align=True),
        "np.float64 class": np.float64,
        "a": a,
        "a.T": a.T.copy(),
        "a + 1": a + 1,
        "a flat": a.ravel(),
        "a f4": a.astype("f4"),
        "a int": a.astype(int),
        "a >f8": a.astype(">f8"),
        "a complex": a + 0j,
        "bool": a > 3,
        "0-d": np.array(1.0),
        "0-d int": np.array(1),
        "1 element": np.array([1.0]),
        "empty": np.empty(0),
        "empty 2-d": np.empty((0, 3)),
        "empty 3, 0": np.empty((3, 0)),
        "empty i4": np.empty(0, "i4"),
        "array of str": np.array(["a", "b"]),
        "array of bytes": np.array([b"a", b"b"]),
        "objects": np.array(["a", 1, None], object),
        "objects 2": np.array(["a", 2, None], object),
        "StringDType": np.array(["a", "b"], np.dtypes.StringDType()),
        "StringDType 2": np.array(["a", "bb" * 50], np.dtypes.StringDType()),
        "datetimes": np.array(["2020-01-01"], "M8[D]"),
        "datetimes s": np.array(["2020-01-01"], "M8[s]"),
        "timedeltas": np.array([1], "m8[s]"),
        "records": np.array([(1, 2), (3, 4)], "i4,i4"),
        "records 2": np.array([(1, 2), (3, 5)], "i4,i4"),
        "longdouble": np.arange(3, dtype=np.longdouble),
        "longdouble 2": np.arange(1, 4, dtype=np.longdouble),
        "masked": np.ma.array([1, 2], mask=[False, True]),
        "masked 2": np.ma.array([1, 2], mask=[True, False]),
        "np.ma.masked": np.ma.masked,
        "matrix": a.view(np.matrix),
        "recarray": np.array([(1, 2)], "i4,i4").view(np.recarray),
        "Generator": rng,
        "new Generator": np.random.default_rng(3),
        "RandomState": np.random.RandomState(3),
        "Random": random.Random(3),
    }
    return values


@pytest.fixture(scope="module")
def tokens() -> dict[str, str]:
    return {name: tokenize(value, ensure_deterministic=True) for name, value in zoo().items()}


def test_form() -> None:
    token = tokenize(1, "two", three=3)
    assert len(token) == 32
    assert int(token, 16) >= 0


def test_all_values_differ(tokens) -> None:
    names: dict[str, str] = {}
    for name, token in tokens.items():
        assert token not in names, f"{name} and {names[token]} have the same token"
        names[token] = name


def test_values_made_again_have_the_same_tokens(tokens) -> None:
    again = {name: tokenize(value, ensure_deterministic=True) for name, value in zoo().items()}
    assert again == tokens


def test_copies_have_the_same_tokens(tokens) -> None:
    checked = 0
    for name, value in zoo().items():
        if type(value) in (
            types.ModuleType,
            functools._lru_cache_wrapper,
            memoryview,
            types.MappingProxyType,
        ):
            continue
        if (
            name in ("append", "append 2", "function")
            or "lambda" in name
            or "method" in name
            or name in ("property", "cached_property")
        ):
            continue
        assert tokenize(copy.deepcopy(value)) == tokens[name], name
        if name != "a >f8":  # NumPy's pickles swap the bytes.
            assert tokenize(pickle.loads(pickle.dumps(value))) == tokens[name], name
        checked += 1
    assert checked > 150


SCRIPT = """
import sys
sys.setrecursionlimit(5000)
from tests.python.test_tokenize import zoo
from pantile import tokenize
import json
print(json.dumps({name: tokenize(value) for name, value in zoo().items()}))
"""


def run(code: str, **env: str) -> str:
    path = os.pathsep.join(["", *[p for p in sys.path if p]])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **env},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_other_processes_agree() -> None:
    one = json.loads(run(SCRIPT, PYTHONHASHSEED="1"))
    two = json.loads(run(SCRIPT, PYTHONHASHSEED="2", PYTHONMALLOC="malloc"))
    assert one == two
    assert len(one) > 150


# A program whose functions and classes no other process can import.
PROGRAM = """
import abc, collections, dataclasses, enum, functools, sys, typing
from pantile import tokenize
scale = 3
names = {"b", "a", "c", "d"}
class Base(abc.ABC):
    limits = frozenset(["x", "y", "z"])
    @abc.abstractmethod
    def run(self): ...
class Job(Base):
    __slots__ = ("n",)
    def __init__(self, n): super().__init__(); self.n = n; self.tags = {"u", "v", "w"}
    def run(self): return self.n * scale + helper(self)
    @property
    def size(self): return self.n
    @staticmethod
    def make(): return Job(1)
    @functools.cached_property
    def slow(self): return {k for k in names}
@dataclasses.dataclass(order=True)
class Data:
    a: int
    b: list = dataclasses.field(default_factory=list)
class Kind(enum.Enum):
    A = "a"
    B = "b"
    def __str__(self): return "x"
class Row(typing.NamedTuple):
    a: int = 1
def helper(job, depth=0): return helper(job, depth + 1) if depth < 3 else len(names & Base.limits)
def outer(n):
    total = 0
    def inner(x):
        nonlocal total
        total += x
        return total + n in {"p", "q", "r"}
    return inner
@functools.lru_cache
def cached(x): return x * scale
things = [Job, Job(1), Job(1).run, Job.make, helper, outer(1), cached, Data, Data(1), Kind, Kind.A, Row, Row(2), lambda: names,
          functools.partial(helper, depth=2), collections.defaultdict(lambda: scale)]
if "tokens" in globals():
    tokens.extend(tokenize(t, ensure_deterministic=True) for t in things)
else:
    print(*[tokenize(t, ensure_deterministic=True) for t in things])
"""


def program(text: str) -> list[str]:
    namespace: dict[str, typing.Any] = {"__name__": "__main__", "tokens": []}
    exec(compile(text, "program", "exec"), namespace)
    return namespace["tokens"]


def test_programs_functions_and_classes(tmp_path) -> None:
    one = run(PROGRAM, PYTHONHASHSEED="1").split()
    assert len(set(one)) == 16
    assert run(PROGRAM, PYTHONHASHSEED="2").split() == one
    # Where the program stands, and how its file is called, does not matter.
    (tmp_path / "moved.py").write_text("# a comment\n\n\n" + PROGRAM)
    path = os.pathsep.join([p for p in sys.path if p])
    done = subprocess.run(
        [sys.executable, tmp_path / "moved.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout.split() == one, done.stderr


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("scale = 3", "scale = 4", {0, 1, 2, 3, 6, 15}),
        ("self.tags = {", "self.tags = {'t', ", {0, 1, 2, 3}),
        ("depth < 3", "depth < 4", {0, 1, 2, 3, 4, 14}),
        ("return total + n", "return total - n", {5}),
        ("outer(1)", "outer(2)", {5}),
        ("Data(1)", "Data(2)", {8}),
        ('A = "a"', 'A = "aa"', {9, 10}),
        ("Row(2)", "Row(3)", {12}),
        ("a: int = 1", "a: int = 2", {11, 12}),
        ('"d"}', '"e"}', {0, 1, 2, 3, 4, 13, 14}),
    ],
)
def test_a_change_changes_what_depends_on_it(old, new, changed) -> None:
    assert old in PROGRAM
    before, after = program(PROGRAM), program(PROGRAM.replace(old, new))
    assert {i for i, (b, a) in enumerate(zip(before, after, strict=True)) if a != b} == changed


def test_globals_count_and_attributes_do_not() -> None:
    namespace: dict[str, typing.Any] = {"__name__": "__main__", "shape": 1, "used": 1}
    exec("def f(x):\n    return [x.shape for _ in range(used)]", namespace)
    before = tokenize(namespace["f"])
    namespace["shape"] = 2
    assert tokenize(namespace["f"]) == before
    namespace["used"] = 2
    assert tokenize(namespace["f"]) != before


def test_many_globals_are_found() -> None:
    # More than 256 names: their numbers need a prefix instruction.
    names = [f"v{i}" for i in range(600)]
    namespace: dict[str, typing.Any] = {"__name__": "__main__", **dict.fromkeys(names, 0)}
    exec(f"def f():\n    return [{', '.join(names)}]", namespace)
    seen = {tokenize(namespace["f"])}
    for name in ("v0", "v127", "v128", "v255", "v256", "v599"):
        namespace[name] = 1
        seen.add(tokenize(namespace["f"]))
    assert len(seen) == 7


def test_mutation_is_seen() -> None:
    value = {"a": [1, {2}], "b": Plain(x=[np.zeros(3)])}
    seen = {tokenize(value)}
    value["a"][1].add(3)
    seen.add(tokenize(value))
    value["b"].x[0][1] = 5
    seen.add(tokenize(value))
    value["b"].y = 1
    seen.add(tokenize(value))
    assert len(seen) == 4


def test_a_cached_property_of_a_dataclass_is_not_part_of_it() -> None:
    p = Point(3.0, 4.0)
    before = tokenize(p)
    assert p.norm == 5.0
    assert tokenize(p) == before


def test_order() -> None:
    assert tokenize({"a": 1, "b": 2}) == tokenize({"b": 2, "a": 1})
    assert tokenize(a=1, b=2) == tokenize(b=2, a=1)
    assert tokenize(collections.defaultdict(int, a=1, b=2)) == tokenize(
        collections.defaultdict(int, b=2, a=1)
    )
    assert tokenize({1, "a", (2, 3)}) == tokenize({(2, 3), 1, "a"})
    assert tokenize([1, 2]) != tokenize([2, 1])
    assert tokenize(1, 2) != tokenize(2, 1)
    assert tokenize(1, a=2) != tokenize(1, {"a": 2})
    assert tokenize() != tokenize(None)
    assert tokenize((1, 2)) != tokenize(1, 2)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=20,
)


def shape(value: object) -> object:
    """A value that is equal to another one exactly where both are the same in type, order and bits."""
    if isinstance(value, dict):
        return "dict", sorted((repr(shape(k)), repr(shape(v))) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [shape(v) for v in value]
    return type(value).__name__, repr(value)


@settings(max_examples=300, deadline=None)
@given(values, values)
def test_tokens_are_equal_exactly_for_equal_values(a, b) -> None:
    assert tokenize(a) == tokenize(copy.deepcopy(a))
    assert (tokenize(a) == tokenize(b)) == (repr(shape(a)) == repr(shape(b)))
    assert tokenize([a, b]) == tokenize([copy.deepcopy(a), b])
    # A part that is there twice is as good as two equal parts.
    assert tokenize([a, a, (a, b)]) == tokenize([a, copy.deepcopy(a), (copy.deepcopy(a), copy.deepcopy(b))])


hashable = st.recursive(
    st.text() | st.integers() | st.floats(), lambda inner: st.tuples(inner, inner), max_leaves=5
)


@given(st.lists(hashable))
def test_sets_have_no_order(items) -> None:
    # Of 1 and 1.0 a set keeps the first, so each is there once.
    items = list(dict.fromkeys(items))
    backwards = items[::-1]
    assert tokenize(set(items)) == tokenize(set(backwards))
    assert tokenize(dict.fromkeys(items)) == tokenize(dict.fromkeys(reversed(items)))


def test_no_collisions_among_alike_values() -> None:
    values: list[object] = []
    values += range(-20_000, 20_000)
    values += [float(i) for i in range(-20_000, 20_000)]
    values += [str(i) for i in range(40_000)]
    values += [str(i).encode() for i in range(40_000)]
    values += [(i,) for i in range(20_000)] + [[i] for i in range(20_000)] + [(i, i) for i in range(20_000)]
    values += (
        [{i: 1} for i in range(10_000)] + [{1: i} for i in range(2, 10_000)] + [{i} for i in range(10_000)]
    )
    values += ["a" * n for n in range(1, 500)] + [b"a" * n for n in range(1, 500)]
    values += [1 << n for n in range(63, 2000)] + [-(1 << n) for n in range(63, 2000)]
    values += [np.arange(n) for n in range(500)] + [np.arange(n, dtype="i4") for n in range(500)]
    values += [np.zeros((n, m)) for n in range(20) for m in range(20)]
    values += [np.eye(1, 300, k)[0] for k in range(300)]
    assert len({tokenize(v) for v in values}) == len(values)


# ---- depth and cycles ----


def test_depth() -> None:
    def nested(n: int, make) -> object:
        value: object = 1
        for _ in range(n):
            value = make(value)
        return value

    for make in (
        lambda v: [v],
        lambda v: (v,),
        lambda v: {"k": v},
        lambda v: frozenset([v]),
        lambda v: Plain(x=v),
        lambda v: functools.partial(inc, v),
        lambda v: slice(v),
        lambda v: Slotted(v),
        lambda v: lambda: v,
    ):
        assert tokenize(nested(10_000, make)) == tokenize(nested(10_000, make))
        assert tokenize(nested(10_000, make)) != tokenize(nested(10_001, make))


def test_shared_parts_are_walked_once() -> None:
    value: list = []
    for _ in range(200):
        value = [value, value]
    same: list = []
    for _ in range(200):
        same = [same, same]
    assert tokenize(value) == tokenize(same)


def test_cycles() -> None:
    def ring(n: int) -> list:
        first: list = [0]
        last = first
        for i in range(1, n):
            last.append([i])
            last = last[-1]
        last.append(first)
        return first

    assert tokenize(ring(1)) == tokenize(ring(1))
    assert len({tokenize(ring(n)) for n in range(1, 50)}) == 49
    # A ring beside others, and reached a second time.
    assert tokenize([ring(3), ring(4)]) == tokenize([ring(3), ring(4)])
    r = ring(3)
    assert tokenize([r, r]) == tokenize([ring(3), ring(3)])
    assert tokenize(r[1]) != tokenize(r)
    d: dict = {}
    d["self"] = d
    e: dict = {}
    e["self"] = [e]
    assert tokenize(d) != tokenize(e)


def test_where_a_cycle_leads_back_to_counts() -> None:
    def build(back: int) -> list:
        chain: list[list] = [[i] for i in range(5)]
        for a, b in pairwise(chain):
            a.append(b)
        chain[-1].append(chain[back])
        return chain[0]

    assert len({tokenize(build(back)) for back in range(5)}) == 5


def linked(n: int) -> list[Plain]:
    """A doubly linked list: one cycle that holds all nodes."""
    nodes = [Plain(value=i) for i in range(n)]
    for a, b in pairwise(nodes):
        a.next, b.previous = b, a
    return nodes


def test_large_cycles_take_linear_time() -> None:
    assert tokenize(linked(20_000)) == tokenize(linked(20_000))
    nodes = linked(1000)
    before = tokenize(nodes)
    nodes[500].previous = nodes[400]
    assert tokenize(nodes) != before


def test_dense_cycles_take_linear_time() -> None:
    def clique(n: int) -> list[list]:
        nodes: list[list] = [[] for _ in range(n)]
        for node in nodes:
            node.extend(nodes)
        return nodes

    assert tokenize(clique(300)) == tokenize(clique(300))
    assert tokenize(clique(300)) != tokenize(clique(299))


def test_dictionaries_in_cycles_have_no_order() -> None:
    def build(names: list[str]) -> dict:
        root: dict = {}
        for name in names:
            root[name] = {"name": name, "root": root}
        return root

    assert tokenize(build(["a", "b", "c"])) == tokenize(build(["c", "a", "b"]))


def test_sets_of_parts_of_one_cycle_are_refused() -> None:
    a, b = Plain(), Plain()
    a.friends, b.friends = {b}, {a}
    assert tokenize(a, ensure_deterministic=True) == tokenize(copy.deepcopy(a), ensure_deterministic=True)
    a.other, b.other = b, a
    with pytest.raises(TokenizationError, match="one cycle"):
        tokenize({a, b}, ensure_deterministic=True)
    assert tokenize({a, b}) != tokenize({a, b})


# ---- NumPy ----


def test_strides_do_not_count() -> None:
    rng = np.random.default_rng(0)
    for dtype in ("f8", "i1", "c16", "S3", "U2", "M8[s]", ">i4", "f2"):
        for shape in [(3, 4), (700, 900), (5, 6, 7), (1, 5), (200_000,), (2, 3, 70_000)]:
            a = rng.integers(0, 99, shape).astype(dtype)
            token = tokenize(a)
            assert tokenize(np.asfortranarray(a)) == token
            wide = np.repeat(a, 2, axis=-1)
            assert tokenize(wide[..., ::2]) == token
            assert tokenize(a[::-1].copy()[::-1]) == token
            assert tokenize(np.ascontiguousarray(a.T).T) == token
            assert tokenize(a.T) != token or a.ndim == 1
    b = np.broadcast_to(np.arange(3), (4, 3))
    assert tokenize(b) == tokenize(b.copy())


def test_every_element_of_a_large_array_counts() -> None:
    a = np.zeros(3_000_000, "u1")
    seen = {tokenize(a)}
    for i in [*range(0, 3_000_000, 299_999), len(a) - 1]:
        a[i] = 1
        seen.add(tokenize(a))
        a[i] = 0
    assert len(seen) == 13


def test_undefined_bytes_do_not_count() -> None:
    dtype = np.dtype("i1,i4", align=True)
    one, two = np.zeros(3, dtype), np.full(3 * dtype.itemsize, 255, "u1").view(dtype)
    two["f0"] = two["f1"] = 0
    assert one.tobytes() != two.tobytes()
    assert tokenize(one) == tokenize(two)
    long = np.full(3 * np.dtype("g").itemsize, 255, "u1").view("g")
    long[:] = [1, 2, 3]
    assert tokenize(long) == tokenize(np.array([1, 2, 3], "g"))
    assert tokenize(long[0]) == tokenize(np.longdouble(1))


def test_memory_maps_are_their_content(tmp_path) -> None:
    a = np.arange(1000.0)
    a.tofile(tmp_path / "one")
    a.tofile(tmp_path / "two")
    one, two = (np.memmap(tmp_path / name, "f8", "r+") for name in ("one", "two"))
    before = tokenize(one)
    assert before == tokenize(two)
    assert before != tokenize(a)
    assert tokenize(one[::2]) == tokenize(two[::2].copy())
    two[7] = 0
    assert tokenize(two) != before


def test_subclasses_of_arrays() -> None:
    class Labelled(np.ndarray):
        pass

    def make(label: str) -> Labelled:
        a = np.arange(3).view(Labelled)
        a.label = label
        return a

    assert tokenize(make("a")) == tokenize(make("a"))
    assert len({tokenize(make("a")), tokenize(make("b")), tokenize(np.arange(3))}) == 3


def test_object_arrays() -> None:
    def make(last: object) -> np.ndarray:
        a = np.empty((2, 2), object)
        a[0, 0], a[0, 1], a[1, 0], a[1, 1] = [1], {"a": a}, np.arange(3), last
        return a

    assert tokenize(make(1)) == tokenize(make(1))
    assert tokenize(make(1)) != tokenize(make(2))
    flat = np.array([[1, "a"], [None, 2.5]], object)
    assert tokenize(flat) == tokenize(np.asfortranarray(flat)) != tokenize(flat.T)


def test_lazy_arrays() -> None:
    x = da.ones((4, 4), chunks=2)
    assert tokenize(x + 1) == tokenize(x + 1)
    assert tokenize(x + 1) != tokenize(x + 2)
    with pytest.raises(TokenizationError, match="lazy array"):
        tokenize([x], ensure_deterministic=True)


# ---- what has no token ----


@pytest.mark.parametrize("make", [threading.Lock, object, lambda: (i for i in ()), lambda: open(os.devnull)])  # noqa: SIM115
def test_what_no_process_can_know(make) -> None:
    value = make()
    with pytest.raises(TokenizationError, match=f"type .*{type(value).__name__}.*__pantile_tokenize__"):
        tokenize({"a": [value]}, ensure_deterministic=True)
    assert tokenize([value]) != tokenize(copy.copy([value])) or type(value) is object
    with config.set({"tokenize.ensure_deterministic": True}):
        with pytest.raises(TokenizationError):
            tokenize(value)
        assert tokenize(value, ensure_deterministic=False)
    if hasattr(value, "close"):
        value.close()


def test_a_mark_is_itself() -> None:
    mark, other = object(), object()
    assert tokenize(mark) == tokenize(mark) != tokenize(other)


def test_an_object_that_differs_each_time_is_refused() -> None:
    class Restless:
        def __reduce__(self):
            return Restless, (random.random(),)

    with pytest.raises(TokenizationError, match="differ from one look"):
        tokenize(Restless(), ensure_deterministic=True)


def test_an_object_that_unfolds_for_ever_is_an_error() -> None:
    class Endless:
        def __pantile_tokenize__(self):
            return Endless()

    with pytest.raises(RecursionError, match="Endless seems to consist of objects like itself"):
        tokenize(Endless())


def test_errors_of_the_users_code_pass() -> None:
    class Broken:
        def __pantile_tokenize__(self):
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        tokenize([Broken()])

    class Interrupted:
        def __reduce__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tokenize(Interrupted())
    # The walk that failed has left nothing behind.
    assert tokenize(1) == tokenize(1)


# ---- hooks and rules ----


def test_hooks() -> None:
    class Ours:
        def __init__(self, n: int) -> None:
            self.n, self.noise = n, random.random()

        def __pantile_tokenize__(self):
            return "Ours", self.n

    class Theirs(Ours):
        __pantile_tokenize__ = None

        def __dask_tokenize__(self):
            return "Theirs", self.n

    assert tokenize(Ours(1)) == tokenize(Ours(1)) != tokenize(Ours(2))
    assert tokenize(Theirs(1)) == tokenize(Theirs(1)) != tokenize(Ours(1))
    assert tokenize(Ours(1)) != tokenize(("Ours", 1))


def test_hooks_may_ask_for_tokens_and_lead_back() -> None:
    class Node:
        def __init__(self) -> None:
            self.next: object = None

        def __pantile_tokenize__(self):
            return tokenize("node"), self.next

    class Holder:
        def __init__(self, value: object) -> None:
            self.value = value

        def __pantile_tokenize__(self):
            return tokenize(self.value)

    node = Node()
    node.next = [node]
    same = Node()
    same.next = [same]
    assert tokenize(node) == tokenize(same)
    # What the outer call was asked for holds for calls inside it.
    with pytest.raises(TokenizationError):
        tokenize(Holder(threading.Lock()), ensure_deterministic=True)
    assert tokenize(Holder(threading.Lock()))


def test_rules() -> None:
    class Thing:
        def __init__(self, n: int) -> None:
            self.n, self.noise = n, random.random()

    class Special(Thing):
        pass

    assert tokenize(Thing(1)) != tokenize(Thing(1))

    @normalize_token.register(Thing)
    def _(thing):
        return "Thing", thing.n

    assert tokenize(Thing(1)) == tokenize(Thing(1)) == tokenize(Special(1)) != tokenize(Thing(2))
    normalize_token.register((Special,), lambda s: ("Special", s.n))
    assert tokenize(Special(1)) != tokenize(Thing(1))
    assert normalize_token(Thing(1)) == ("Thing", 1)
    assert normalize_token(5) == 5
    with pytest.raises(TypeError, match="rules are for classes"):
        normalize_token.register(("Thing",), repr)
    with pytest.raises(TypeError, match="must be callable"):
        normalize_token.register(Thing, 3)


def test_rules_of_a_package_are_registered_when_needed(monkeypatch) -> None:
    calls = []
    kind = type("Late", (), {"__module__": "late_package.inner"})

    @normalize_token.register_lazy("late_package")
    def _() -> None:
        calls.append(1)
        normalize_token.register(kind, lambda _: "late")

    tokenize(Plain())
    assert calls == []
    assert tokenize(kind()) == tokenize(kind())
    assert calls == [1]
    assert _tokenize.rule_for(type("Derived", (kind,), {}))(None) == "late"


def test_threads() -> None:
    expected = {name: tokenize(value) for name, value in zoo().items()}
    failures: list[str] = []

    def work() -> None:
        for name, value in zoo().items():
            if tokenize(value) != expected[name]:
                failures.append(name)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []


def test_nothing_is_kept() -> None:
    import gc
    import weakref

    value = Plain(x=[Plain(y=1)])
    value.x.append(value)
    reference = weakref.ref(value)
    tokenize(value)
    del value
    gc.collect()
    assert reference() is None
