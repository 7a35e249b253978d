"""Graphs changed as a whole: the cases of Dask's documentation, on calls that tell when they run."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pantile
import pantile.array as da
import pantile.bag as db
import pytest
from pantile import delayed
from pantile.graph_manipulation import bind, checkpoint, clone, wait_on


class Log:
    """Calls that remember their order."""

    def __init__(self):
        self.calls = []

    def __call__(self, name, *inputs, pure=False):
        def note(*values):
            self.calls.append(name)
            return [name, *values]

        return delayed(note, pure=pure)(*inputs)

    def take(self):
        calls, self.calls = self.calls, []
        return calls


@pytest.fixture
def log():
    return Log()


@pytest.mark.parametrize("split_every", [None, False, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 9, 30])
def test_a_checkpoint_is_none_once_all_is_done(log, count, split_every):
    done = checkpoint(*[log(i) for i in range(count)], split_every=split_every)
    assert done.compute(executor="sync") is None
    assert sorted(log.take()) == list(range(count))


def test_a_checkpoint_of_containers_and_collections(log):
    done = checkpoint(
        {"a": [log(1), (log(2),)]}, db.from_sequence([3, 4], npartitions=2).map(log.calls.append), 5
    )
    assert done.compute() is None
    assert sorted(log.take()) == [1, 2, 3, 4]
    seen = []
    x = da.ones((4, 6), chunks=2).map_blocks(lambda b: seen.append(b.shape) or b, dtype=float)
    assert checkpoint(x).compute() is None
    assert seen == [(2, 2)] * 6
    assert checkpoint(x.sum()).compute() is None


def test_a_tree_of_checkpoints_has_no_wide_task():
    rows = pantile._native.delayed_graph([checkpoint([delayed(i) for i in range(100)], split_every=4)]).rows()
    assert max(len(inputs) for _, inputs, _ in rows) == 4
    for wrong in (1, -3, 0):
        with pytest.raises(ValueError, match="split_every"):
            checkpoint(split_every=wrong)


def test_children_begin_after_parents(log):
    source = log("source")
    child = log("child", source, log("other"))
    bound = bind(child, [log("parent"), log("second")])
    assert bound.compute(executor="sync") == ["child", ["source"], ["other"]]
    calls = log.take()
    assert sorted(calls[:2]) == ["parent", "second"]
    assert calls[-1] == "child"
    # What the child needs is made anew, so both sources run.
    pantile.compute(bound, source)
    assert log.take().count("source") == 2
    assert bound.key != child.key


def test_what_is_omitted_is_not_made_anew(log):
    source = log("source")
    middle = log("middle", source)
    child = log("child", middle)
    bound = bind(child, source, omit=middle)
    pantile.compute(bound, middle, source, executor="sync")
    assert sorted(log.take()) == ["child", "middle", "source"]
    # Behind what is omitted: kept if the keys decide.
    both = log("both", middle, source)
    for assume_layers, runs in ((True, 2), (False, 1)):
        again = clone(both, omit=middle, assume_layers=assume_layers)
        pantile.compute(again, middle)
        assert log.take().count("source") == runs


def test_values_wait_too(log):
    value = bind(delayed(5), log("parent"))
    assert value.compute() == 5
    assert log.take() == ["parent"]
    # Without parents it is a copy.
    assert bind(delayed(5), None).compute() == 5
    twice = bind(bind(log("child"), log("first")), log("second"))
    assert twice.compute() == ["child"]
    calls = log.take()
    assert calls[-1] == "child"
    assert sorted(calls) == ["child", "first", "second"]


def test_bound_attributes_become_methods_that_wait(log):
    text = delayed("a b")
    split = bind(text.split, log("parent"), omit=text)
    assert split().compute() == ["a", "b"]
    assert log.take() == ["parent"]


def test_clones_are_independent_and_seeds_name_them(log):
    total = log("sum", log("a"), [{"k": log("b")}])
    copied = clone(total)
    assert pantile.compute(total, copied)[1] == ["sum", ["a"], [{"k": ["b"]}]]
    assert sorted(log.take()) == ["a", "a", "b", "b", "sum", "sum"]
    one, same, other = clone(total, seed=1), clone(total, seed=1), clone(total, seed="x")
    assert one.key == same.key
    assert len({total.key, one.key, other.key}) == 3
    pantile.compute(one, same)
    assert sorted(log.take()) == ["a", "b", "sum"]
    assert clone(log("p", pure=True)).key != log("p", pure=True).key


def test_collections_keep_their_structure_and_kind(log):
    bag = db.from_sequence(range(6), npartitions=3).map(lambda x: log.calls.append(x) or x)
    d = log("d")
    (bag2, [d2], total, plain) = clone(bag, [d], bag.sum(), 5)
    assert isinstance(bag2, db.Bag)
    assert bag2.npartitions == 3
    assert isinstance(total, db.Item)
    assert plain == 5
    assert pantile.compute(bag2, d2, total) == (list(range(6)), ["d"], 15)
    log.take()
    waited = bind({"x": bag}, log("parent"))["x"]
    assert waited.compute(executor="sync") == list(range(6))
    assert log.take()[0] == "parent"


def test_wait_on_gives_nothing_before_all(log):
    a, [b] = wait_on(log("a"), [log("b")])
    assert delayed(lambda x: [x, sorted(log.calls)])(a).compute() == [["a"], ["a", "b"]]
    assert wait_on(b).compute() == ["b"]
    bag, item = wait_on(db.from_sequence([1, 2], npartitions=2), db.from_sequence([3]).sum())
    assert pantile.compute(bag, item) == ([1, 2], 3)
    assert wait_on(5) == 5


def test_waiting_moves_no_values_between_processes():
    lock = threading.Lock()
    (waited,) = wait_on([delayed(lock)])
    assert waited.compute(executor="processes") is lock
    assert checkpoint([delayed(lock)] * 2, delayed(lock)).compute(executor="processes") is None


def test_arrays_wait_for_arrays():
    lock, seen = threading.Lock(), []

    def note(name):
        def call(block):
            with lock:
                seen.append(name)
            return block

        return call

    x = da.arange(6, chunks=2).map_blocks(note("x"), dtype=int)
    y = da.ones((2, 2), chunks=1).map_blocks(note("y"), dtype=float)
    x2, y2 = wait_on(x, y)
    got = (x2.map_blocks(note("after"), dtype=int)).compute()
    np.testing.assert_array_equal(got, np.arange(6))
    assert seen.index("after") > max(k for k, name in enumerate(seen) if name == "y")
    assert (y2.shape, y2.chunks, y2.dtype) == (y.shape, y.chunks, y.dtype)
    with pytest.raises(TypeError, match="arrays alone"):
        wait_on(x, delayed(1))
    with pytest.raises(TypeError, match="made anew"):
        clone(x)
    with pytest.raises(TypeError, match="made anew"):
        bind(x, y)
    call = delayed(lambda a: int(a.sum()))(x)
    assert bind(call, delayed(seen.append)("parent")).compute() == 15


def test_what_waits_survives_pickle_and_copies(log):
    parent = delayed("parent".upper)()
    child = bind(delayed(len)([1, 2]), parent)
    for again in (pickle.loads(pickle.dumps(child)), copy.copy(child), copy.deepcopy(child)):
        assert again.key == child.key
        names = {name for name, _, _ in pantile._native.delayed_graph([again]).rows()}
        assert "upper" in names
        assert again.compute() == 2


def test_copies_keep_what_was_said_of_calls():
    with pantile.annotate(retries=1):
        first, second = clone(delayed(divmod, nout=2)(7, 2))
    assert pantile.compute(first, second) == (3, 1)
    data = [1]
    changed = clone(delayed(len)(data))
    data.append(2)
    with pytest.raises(pantile.ArgumentChangedError, match="argument 0 of `len`"):
        changed.compute()

    def fail():
        raise KeyError("no")

    with pytest.raises(KeyError) as info:
        bind(delayed(fail)(), delayed(1)).compute()
    assert __file__ in info.value.__notes__[0]


def test_copies_of_long_chains_are_linear_and_use_no_stack():
    x = delayed(abs)(-1)
    for _ in range(50_000):
        x = delayed(abs)(x)
    assert clone(x).compute() == 1
    assert len(pantile._native.delayed_graph([bind(x, delayed(3))])) == 50_003


def test_optimize_makes_equal_pure_calls_one():
    calls = []
    note = delayed(lambda x: calls.append(x) or x, pure=True)
    impure = delayed(sum)([note(1), note(1), note(2)])
    out = pantile.optimize(impure, [note(1)], da.ones(2), 5)
    assert len(out) == 4
    assert out[0].key == impure.key
    assert out[1][0].key == note(1).key
    assert out[3] == 5
    graph = pantile._native.delayed_graph([out[0]])
    assert len(graph) == 3
    assert graph.ranks().count(None) == 0
    assert out[0].compute() == 4
    assert sorted(calls) == [1, 2]
    (same,) = pantile.optimize([note(3)], traverse=False)
    assert same[0].key == note(3).key
