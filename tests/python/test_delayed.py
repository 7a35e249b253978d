"""Delayed: what calls become, what they give, and what is refused."""

from __future__ import annotations

import dataclasses
import functools
import gc
import inspect
import io
import itertools
import operator
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import tracemalloc
import typing
import unittest.mock
import weakref

import numpy as np
import pantile
import pantile.array as da
import pytest
from pantile import delayed


def inc(x):
    return x + 1


def add(x, y):
    return x + y


@dataclasses.dataclass
class Point:
    x: typing.Any
    y: typing.Any = 0
    z: typing.Any = dataclasses.field(default=7, init=False)


class Pair(typing.NamedTuple):
    first: typing.Any
    second: typing.Any


def test_calls_run_when_they_are_computed():
    calls = []

    @delayed
    def note(x):
        calls.append(x)
        return x

    result = note(note(1))
    assert calls == []
    assert result.compute() == 1
    assert calls == [1, 1]


@pytest.mark.parametrize("executor", ["sync", "threads"])
def test_values_are_found_at_any_depth(executor):
    one = delayed(inc)(0)
    tree = {
        "list": [one, [one, (one, {one})]],
        "point": Point(one, [one]),
        "pair": Pair(one, 2),
        "frozen": frozenset([one]),
        one: slice(one, None, one),
    }
    got = delayed(lambda x: x)(tree).compute(executor=executor)
    assert got == {
        "list": [1, [1, (1, {1})]],
        "point": Point(1, [1]),
        "pair": Pair(1, 2),
        "frozen": frozenset([1]),
        1: slice(1, None, 1),
    }
    assert type(got["pair"]) is Pair
    assert got["point"].z == 7
    (again,) = pantile.compute(tree)
    assert again == got


def test_keyword_arguments_and_functions_may_be_delayed():
    function = delayed(operator.itemgetter("f"))({"f": add})
    assert function(delayed(inc)(1), y=delayed(inc)(2)).compute() == 5


def test_arrays_are_arguments():
    x = da.arange(10, chunks=3)
    total = delayed(lambda a, scale: float(a.sum()) * scale)(x + 1, [x.max()][0])
    assert total.compute() == 55 * 9
    value, array = pantile.compute(delayed(inc)(1), x)
    assert value == 2
    np.testing.assert_array_equal(array, np.arange(10))


def test_operators():
    x = delayed(7)
    cases = {
        x + 1: 8, 1 + x: 8, x - 2: 5, 2 - x: -5, x * 3: 21, 3 * x: 21, x / 2: 3.5, 14 / x: 2.0,
        x // 2: 3, 15 // x: 2, x % 4: 3, 9 % x: 2, x**2: 49, 2**x: 128, -x: -7, +x: 7, abs(-x): 7, ~x: -8,
        x & 3: 3, 3 & x: 3, x | 8: 15, 8 | x: 15, x ^ 1: 6, 1 ^ x: 6, x << 1: 14, 1 << x: 128, x >> 1: 3, 128 >> x: 1,
        x < 8: True, x <= 7: True, x > 8: False, x >= 8: False, x == 7: True, x != 7: False,
    }  # fmt: skip
    assert list(pantile.compute(*cases)) == list(cases.values())
    assert pow(x, 2, 10).compute() == 9
    quotient, rest = divmod(x, 2)
    assert pantile.compute(quotient, rest) == (3, 1)
    m = delayed(np.eye(2))
    np.testing.assert_array_equal((m @ np.ones(2)).compute(), np.ones(2))


def test_items_attributes_and_methods():
    text = delayed("a b c")
    assert text.split(" ")[1].upper().compute() == "B"
    assert text.replace("a", delayed("z")).compute() == "z b c"
    assert delayed(1 + 2j).imag.compute() == 2.0
    with pytest.raises(AttributeError):
        text._private
    with pytest.raises(AttributeError, match="nothing"):
        text.nothing.compute()


def test_decorated_functions_are_methods_and_keep_their_names():
    class Counter:
        start = 10

        @delayed
        def up(self, by):
            return self.start + by

    assert Counter().up(delayed(2)).compute() == 12
    assert delayed(inc).__name__ == "inc"
    assert delayed(inc).__wrapped__ is inc


def test_several_values():
    ends = delayed(lambda xs: (min(xs), max(xs)), nout=2)([3, 1, 2])
    low, high = ends
    assert len(ends) == 2
    assert pantile.compute(low, high) == (1, 3)
    assert list(delayed(tuple, nout=0)()) == []
    for nout in (-1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="nout"):
            delayed(inc, nout=nout)


@pytest.mark.parametrize(
    "use",
    [bool, len, iter, list, int, float, "{}".format, lambda d: f"{d}", lambda d: 1 in d, lambda d: range(d)],
    ids=lambda use: getattr(use, "__name__", "format"),
)
def test_what_needs_a_value_is_refused(use):
    with pytest.raises(TypeError, match="inc"):
        use(delayed(inc)(1))


def test_nodes_cannot_be_changed():
    node = delayed(inc)(1)
    with pytest.raises(TypeError, match="immutable"):
        node.value = 3
    with pytest.raises(TypeError, match="immutable"):
        node[0] = 3


def test_generators_are_refused():
    with pytest.raises(TypeError, match=r"list\("):
        delayed(sum)(i for i in range(3))
    with pytest.raises(TypeError, match=r"list\("):
        delayed(sum)([1, list(range(2)), (i for i in range(3))])
    for once in (iter([1]), iter({1: 2}), map(inc, [1]), zip([1]), enumerate([1]), itertools.count()):
        with pytest.raises(TypeError, match="iterator"):
            delayed(sum)(once)
    assert delayed(sum)(range(3)).compute() == 3


class _Counter:
    def __next__(self) -> int:
        return 1


async def _later():
    yield 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: iter([1, 2]),
        lambda: map(abs, [1]),
        lambda: zip([1], [2], strict=True),
        lambda: itertools.count(),
        lambda: io.StringIO("a"),
        _Counter,
        _later,
    ],
)
def test_what_can_be_used_once_is_refused(make):
    for wrap in (lambda v: v, lambda v: [v], lambda v: {"a": (v,)}):
        with pytest.raises(TypeError, match="can be used once only"):
            delayed(list)(wrap(make()))
    with pytest.raises(TypeError, match="can be used once only"):
        pantile.compute([make(), delayed(abs)(1)])


def test_files_are_arguments_if_they_can_only_be_written_to(tmp_path):
    path = tmp_path / "a"
    with open(path, "w") as file:
        delayed(file.write)("a").compute()
        delayed(print)("b", file=file).compute()
    assert path.read_text() == "ab\n"
    with open(path) as file, pytest.raises(TypeError, match="Pass its path"):
        delayed(list)(file)


def test_arguments_must_not_change_between_building_and_running():
    data = [1, 2, [3]]
    total = delayed(len)(data)
    assert total.compute() == 3
    data[2].append(4)
    with pytest.raises(pantile.ArgumentChangedError, match="argument 0 of `len`, a list"):
        total.compute()
    options = {"a": 1}
    call = delayed(dict)(options=options)
    options["a"] = 2
    with pytest.raises(pantile.ArgumentChangedError, match="argument options"):
        call.compute()


def test_a_call_that_changes_what_others_need_is_found_out():
    values = delayed(lambda: [1, 2])()
    changed = delayed(lambda xs: xs.append(3))(values)
    with pytest.raises(pantile.ArgumentChangedError, match="result of another call"):
        pantile.compute(values, changed)
    array = delayed(np.zeros)(3)

    def write(a):
        a[0] = 1
        return a

    with pytest.raises(ValueError, match="read-only") as info:
        pantile.compute(array, delayed(write)(array))
    assert any("copy the array" in note for note in info.value.__notes__)
    # What the user made read-only is the user's.
    mine = np.zeros(3)
    mine.flags.writeable = False
    for call in (delayed(write)(mine), delayed(lambda a, _: write(a))(mine, delayed(inc)(1))):
        with pytest.raises(ValueError, match="read-only") as info:
            call.compute()
        assert not any("copy the array" in note for note in info.value.__notes__)
    # Whoever has it alone may do so.
    assert delayed(write)(delayed(np.zeros)(3)).compute()[0] == 1


def test_common_calls_run_once_and_equal_pure_calls_too():
    calls = []

    def note(x):
        calls.append(x)
        return x

    shared = delayed(note)(1)
    pantile.compute(delayed(add)(shared, 1), delayed(add)(shared, 2), shared)
    assert calls == [1]
    calls.clear()
    pure = delayed(note, pure=True)
    assert pure(5).key == pure(5).key
    assert pure(5).key != pure(6).key
    assert pantile.compute(pure(5), pure(5), [pure(5), pure(6)]) == (5, 5, [5, 6])
    assert sorted(calls) == [5, 6]
    calls.clear()
    plain = delayed(note)
    assert plain(5).key != plain(5).key
    pantile.compute(plain(5), plain(5))
    assert calls == [5, 5]


def test_keys_can_be_chosen():
    assert delayed(inc)(1, pantile_key_name="one").key == "one"
    assert delayed(inc)(1, dask_key_name="one").key == "one"
    assert delayed(5, name="five").key == "five"
    assert delayed(inc, name="up")(1).key.startswith("up-")
    with pytest.raises(TypeError, match="string"):
        delayed(inc)(1, dask_key_name=5)


@pytest.mark.parametrize("executor", ["sync", "threads"])
def test_exceptions_keep_type_cause_and_name_the_users_line(executor):
    def fail(x):
        try:
            raise KeyError("inner")
        except KeyError as e:
            raise ZeroDivisionError("outer") from e

    line = sys._getframe().f_lineno + 1
    call = delayed(fail)(1)
    with pytest.raises(ZeroDivisionError, match="outer") as info:
        delayed(inc)(call).compute(executor=executor)
    assert isinstance(info.value.__cause__, KeyError)
    (note,) = info.value.__notes__
    assert "`fail`" in note
    assert f"{__file__}:{line}" in note
    assert any(entry.name == "fail" for entry in info.traceback)


def test_failing_calls_are_tried_again():
    attempts = []

    def flaky(x):
        attempts.append(x)
        if len(attempts) < 3:
            raise OSError("not yet")
        return x

    with pantile.annotate(retries=2):
        call = delayed(flaky)(delayed(inc)(0))
    assert call.compute() == 1
    attempts.clear()
    with pantile.annotate(retries=1):
        call = delayed(flaky)(1)
    with pytest.raises(OSError, match="not yet") as info:
        call.compute()
    assert "after 2 attempts" in info.value.__notes__[0]


def test_priorities_go_first():
    done = []
    calls = []
    for i in range(6):
        with pantile.annotate(priority=i % 3):
            calls.append(delayed(done.append)(i))
    pantile.compute(*calls, executor="sync")
    assert [i % 3 for i in done] == [2, 2, 1, 1, 0, 0]


def test_results_are_let_go_at_once():
    class Big:
        pass

    seen = []

    def make():
        value = Big()
        seen.append(weakref.ref(value))
        return value

    def use(value):
        return 1

    def look(*_):
        return [ref() is None for ref in seen]

    calls = [delayed(use)(delayed(make)()) for _ in range(5)]
    gone = delayed(look)(*calls).compute(executor="sync")
    assert gone == [True] * 5


def test_nodes_do_not_leak():
    gc.collect()
    value = Point(1)
    ref = weakref.ref(value)
    node = delayed(add)(delayed(value), [delayed(inc)(1)])
    del value
    del node
    gc.collect()
    assert ref() is None


@pytest.mark.parametrize("shape", ["chain", "wide", "nested"])
def test_large_graphs_do_not_overflow_any_stack(shape):
    n = 10_000
    if shape == "chain":
        x = delayed(inc)(0)
        for _ in range(n):
            x = delayed(inc)(x)
        expected = n + 1
    elif shape == "wide":
        x, expected = delayed(sum)([delayed(inc)(i) for i in range(n)]), sum(range(1, n + 1))
    else:
        x = delayed(0)
        for _ in range(n):
            x = delayed(len)([[x], 1])
        expected = 2
    assert x.compute() == expected
    assert x.compute(executor="sync") == expected


def test_a_container_that_holds_itself_is_refused():
    data: list = []
    data.append(data)
    with pytest.raises(RecursionError, match="nested"):
        delayed(len)(data)


def test_containers_are_taken_as_they_are_on_demand():
    inner = delayed(inc)(1)
    assert delayed([inner], traverse=False).compute()[0] is inner
    # As in Dask, that is about the object and not about arguments of calls.
    assert delayed(lambda x: x, traverse=False)([inner]).compute() == [2]
    (same,) = pantile.compute([inner], traverse=False)
    assert same[0] is inner


def test_persist_keeps_the_value_and_the_key():
    calls = []
    node = delayed(calls.append)(1)
    (kept,) = pantile.persist(node)
    assert kept.key == node.key
    assert kept.compute() is None
    assert node.persist().compute() is None
    assert calls == [1, 1]


def test_nodes_are_pickled():
    node = delayed(add)([delayed(inc)(1)], [delayed(inc)(2)])
    again = pickle.loads(pickle.dumps(node))
    assert again.key == node.key
    assert again.compute() == [2, 3]


def test_a_call_may_compute():
    def outer(n):
        return delayed(sum)([delayed(inc)(i) for i in range(n)]).compute()

    assert pantile.compute(*[delayed(outer)(5) for _ in range(8)]) == (15,) * 8


def test_several_threads_compute_at_once():
    shared = [delayed(inc)(i) for i in range(200)]
    results = []

    def work():
        results.append(delayed(sum)(shared).compute())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [sum(range(1, 201))] * 8


def test_calls_that_wait_run_side_by_side():
    barrier = threading.Barrier(2)
    with pantile.config.set(num_threads=2):
        pantile.compute(*[delayed(barrier.wait)(20) for _ in range(2)])


def test_large_results_are_spilled_and_come_back(tmp_path):
    def make(i):
        return np.full(1_000_000, float(i))

    parts = [delayed(make)(i) for i in range(40)]
    both = delayed(lambda xs: [float(x[0]) for x in xs])(parts)
    with pantile.config.set({"memory_limit": "1GB", "spill_dir": str(tmp_path)}):
        assert both.compute() == [float(i) for i in range(40)]
    assert list(tmp_path.iterdir()) == []


def test_calls_run_in_worker_processes():
    here = os.getpid()
    pids = pantile.compute(*[delayed(os.getpid)() for _ in range(6)], executor="processes", num_workers=2)
    assert here not in pids
    closure = 10
    big = delayed(lambda n: np.full(n, closure))(1_000_000)
    assert delayed(lambda a: float(a.sum()))(big).compute(executor="processes") == 1e7
    with pantile.annotate(executor="processes"):
        there = delayed(os.getpid)()
    assert there.compute() != here
    hashes = pantile.compute(*[delayed(hash)("text") for _ in range(8)], executor="processes", num_workers=2)
    assert len(set(hashes)) == 1
    with pytest.raises(ZeroDivisionError) as info:
        delayed(lambda: 1 / 0)().compute(executor="processes")
    assert "built at" in info.value.__notes__[-1]


def test_arguments_of_compute_are_of_that_call_alone():
    """Two threads that choose different executors at once leave the setting as it was."""
    before = pantile.config.get("executor")
    calls = {"sync": [], "threads": []}

    def work(executor):
        for _ in range(100):
            calls[executor].append(delayed(threading.get_ident)().compute(executor=executor, num_workers=2))

    threads = [threading.Thread(target=work, args=(e,)) for e in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert pantile.config.get("executor") == before
    assert not pantile.config.is_set("executor")
    assert len(set(calls["sync"])) == 1


def test_ctrl_c_ends_calls_in_worker_processes():
    script = textwrap.dedent("""
        import os, signal, threading, time
        import pantile
        def kick():
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGINT)
        pantile.compute(*[pantile.delayed(abs)(-1) for _ in range(2)], executor="processes", num_workers=2)
        threading.Thread(target=kick).start()
        try:
            pantile.compute(*[pantile.delayed(time.sleep)(60) for _ in range(4)], executor="processes", num_workers=2)
        except KeyboardInterrupt:
            print("interrupted")
        print(pantile.delayed(abs)(-2).compute(executor="processes"))
    """)
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout.split() == ["interrupted", "2"]


def test_a_killed_worker_is_an_error_or_a_retry(tmp_path):
    def die(path):
        if not os.path.exists(path):
            with open(path, "w"):
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        return "alive"

    with pytest.raises(pantile.WorkerDiedError, match="die"):
        delayed(die)(str(tmp_path / "a")).compute(executor="processes")
    with pantile.annotate(retries=1):
        again = delayed(die)(str(tmp_path / "b"))
    assert again.compute(executor="processes") == "alive"


def test_dask_names_of_schedulers():
    assert delayed(inc)(1).compute(scheduler="synchronous") == 2
    assert delayed(inc)(1).compute(scheduler="threads", num_workers=1) == 2
    with pytest.raises(TypeError, match="same"):
        delayed(inc)(1).compute(scheduler="sync", executor="sync")
    with pytest.raises(ValueError, match="executor"):
        delayed(inc)(1).compute(executor="gpu")


def test_nodes_look_like_what_they_call():
    def documented(x, *, y=1):
        """Adds."""
        return x + y

    node = delayed(documented)
    assert node.__doc__ == "Adds."
    assert node(1).__doc__ == pantile.Delayed.__doc__
    assert delayed(5).__doc__ == pantile.Delayed.__doc__
    assert "runs when" in pantile.Delayed.__doc__
    assert str(inspect.signature(node)) == "(x, *, y=1)"
    assert repr(node(1, pantile_key_name="it's")) == """Delayed("it's")"""
    assert repr(delayed(5, name="five")) == "Delayed('five')"
    prefixes = {
        "inc": [node_of_function := delayed(inc), node_of_function(1), delayed(functools.partial(inc, 1))()],
        "int": [delayed(5)],
        "list": [delayed([1])],
        "add": [delayed(1) + 1],
        "getitem": [delayed([1])[0]],
        "Point": [delayed(Point)(1)],
        "index": [delayed([1]).index(1)],
    }
    assert {name: {n.key.split("-")[0] for n in nodes} for name, nodes in prefixes.items()} == {
        name: {name} for name in prefixes
    }


def test_pureness_may_be_a_setting():
    assert delayed(inc)(1).key != delayed(inc)(1).key
    with pantile.config.set(delayed_pure=True):
        assert delayed(inc)(1).key == delayed(inc)(1).key
        assert delayed(inc, pure=False)(1).key != delayed(inc, pure=False)(1).key
        assert delayed(1).key == delayed(1).key
        inside = delayed(inc)
    # What counts is the setting when a call is built.
    function, text = delayed(inc), delayed("text")
    assert inside(1).key != inside(1).key
    with pantile.config.set(delayed_pure=True):
        assert function(1).key == function(1).key
        assert text.find("t").key == text.find("t").key
        assert text.find("t", pure=False).key != text.find("t", pure=False).key
    assert text.find("t").key != text.find("t").key
    with pantile.config.set(delayed_pure=False):
        assert delayed(inc, pure=True)(1).key == delayed(inc, pure=True)(1).key


def test_unusual_objects_are_arguments_and_results():
    class Odd(type):
        def __getattr__(cls, name):
            raise RuntimeError(name)

    class Object(metaclass=Odd):
        pass

    class NoFields:
        __dataclass_fields__ = 5

    class NotNamed(tuple):
        _fields = ("a",)

    for value in (Object(), Object, NoFields(), NotNamed((1,)), unittest.mock.MagicMock()):
        got = delayed(lambda *args: args)(value, delayed(1)).compute()
        assert got == (value, 1)
        assert got[0] is value
    with unittest.mock.patch(f"{__name__}.inc", wraps=inc) as mocked:
        assert delayed(mocked)(1).compute() == 2


@pytest.mark.parametrize("claim", [-1, 0, 2**63, 2**64 - 1, 2**70, 1.5, "much"])
def test_what_objects_say_of_their_size_breaks_nothing(claim):
    class Claims:
        nbytes = claim

    made = pantile.compute(*[delayed(Claims)() for _ in range(3)], [delayed(Claims)()])
    assert all(type(m) is Claims for m in made[:3])


@pytest.mark.parametrize("kind", ["call", "attribute", "argument", "keyword", "container"])
def test_long_chains_are_let_go_of_without_a_deep_stack(kind):
    step = {
        "call": lambda x: x(1),
        "attribute": lambda x: x.real,
        "argument": lambda x: delayed(inc)(x),
        "keyword": lambda x: delayed(inc)(x=x),
        "container": lambda x: delayed(len)([[x]]),
    }[kind]
    x = delayed(inc)(0)
    first = weakref.ref(x)
    for _ in range(100_000):
        x = step(x)
    x = None
    assert first() is None


def test_deep_containers_need_no_deep_stack():
    deep = [delayed(inc)(1)]
    for _ in range(1_900):
        deep = [deep]
    results = []

    def work():
        call = delayed(lambda x: len(x), pure=True)(deep)
        assert len(call.key) > 32
        results.append(call.compute(executor="sync"))

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert results == [1]


def test_equality_and_hashes_of_arguments_are_not_asked():
    class Hostile:
        def __eq__(self, other):
            raise RuntimeError("eq")

        def __hash__(self):
            raise RuntimeError("hash")

    assert delayed(lambda x: 1)([Hostile()]).compute() == 1
    with pytest.raises(RuntimeError, match="hash"):
        delayed(len)({delayed(Hostile)(): 1}).compute()


def test_building_and_computing_in_threads_while_garbage_is_collected():
    class Computes:
        def __init__(self):
            self.me = self

        def __del__(self):
            done.append(delayed(inc)(1).compute())

    done, failed = [], []
    shared = [delayed(inc)(i) for i in range(50)]

    def work(k):
        try:
            for _ in range(10):
                Computes()
                pure = delayed(add, pure=True)
                calls = [pure(shared[i], delayed(inc)(k)) for i in range(50)]
                assert delayed(sum)(calls).compute() == sum(i + 1 + k + 1 for i in range(50))
        except BaseException as error:
            failed.append(error)

    thresholds = gc.get_threshold()
    gc.set_threshold(20)
    try:
        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    assert failed == []
    assert done == [2] * 40


@pytest.mark.parametrize("executor", ["sync", "threads", "processes"])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration])
def test_exceptions_that_are_not_errors_come_out(kind, executor):
    def leave():
        raise kind("bye")

    with pytest.raises(kind):
        delayed(inc)(delayed(leave)()).compute(executor=executor)
    assert delayed(inc)(1).compute(executor=executor) == 2


def test_a_call_may_delete_what_it_is_computed_from():
    nodes = []

    def forget(x):
        nodes.clear()
        gc.collect()
        return x

    nodes.extend(delayed(forget)(delayed(inc)(i)) for i in range(20))
    assert sum(pantile.compute(*nodes)) == sum(range(1, 21))


def test_a_node_is_small():
    function = delayed(inc)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        nodes = [function(7) for _ in range(10_000)]
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert used / len(nodes) < 300
