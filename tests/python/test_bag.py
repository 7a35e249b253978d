"""Bags beside plain Python: every function and method, on partitions of all sorts."""

from __future__ import annotations

import bz2
import dataclasses
import functools
import gzip
import itertools
import json
import lzma
import math
import operator
import os
import pickle
import random
import statistics
import subprocess
import sys
import warnings
import zipfile
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pantile
import pantile.bag as db
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pantile.bag import files, shuffle
from pantile.bag.partitions import Chain

add = operator.add


def parts(bag: db.Bag) -> list[list]:
    """The partitions, as lists."""
    return [list(part.compute()) for part in bag.to_delayed()]


def numbers(n: int = 10, npartitions: int = 3) -> db.Bag:
    return db.from_sequence(range(n), npartitions=npartitions)


RECORDS = [{"name": name, "value": i} for i, name in enumerate("abacba")]


def records() -> db.Bag:
    return db.from_sequence(RECORDS, npartitions=2)


# ---- where bags come from ----


@pytest.mark.parametrize(
    ("n", "arguments", "lengths"),
    [
        (0, {}, [0]),
        (0, {"npartitions": 3}, [0]),
        (3, {}, [1, 1, 1]),
        (7, {"npartitions": 3}, [3, 3, 1]),
        (2, {"npartitions": 5}, [1, 1]),
        (7, {"partition_size": 4}, [4, 3]),
        (101, {"npartitions": 3}, [33, 33, 33, 2]),
        (400, {}, [2] * 200),
    ],
)
def test_from_sequence_cuts_as_dask_does(n, arguments, lengths) -> None:
    bag = db.from_sequence(range(n), **arguments)
    assert [len(p) for p in parts(bag)] == lengths
    assert bag.npartitions == len(lengths)
    assert bag.compute() == list(range(n))


def test_from_sequence_uses_up_a_generator_once() -> None:
    bag = db.from_sequence((x for x in range(5)), npartitions=2)
    assert bag.compute() == bag.compute() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("arguments", [{"npartitions": 0}, {"partition_size": -1}])
def test_from_sequence_refuses_no_partition(arguments) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        db.from_sequence([1], **arguments)


def test_result_is_the_callers() -> None:
    bag = db.from_sequence([1, 2], npartitions=1)
    bag.compute().append(3)
    assert bag.compute() == [1, 2]


@pytest.mark.parametrize(
    ("n", "npartitions", "lengths"), [(5, 2, [2, 3]), (10, 3, [3, 3, 4]), (2, 3, [1, 1, 0]), (0, 2, [0, 0])]
)
def test_range(n, npartitions, lengths) -> None:
    bag = db.range(n, npartitions)
    assert [len(p) for p in parts(bag)] == lengths
    assert bag.compute() == list(range(n))


def test_from_delayed() -> None:
    values = [pantile.delayed(list)((1, 2)), pantile.delayed(tuple)([3])]
    assert db.from_delayed(values).map(lambda x: x * 2).compute() == [2, 4, 6]
    assert db.from_delayed(values[0]).compute() == [1, 2]
    assert db.from_delayed(db.from_sequence([1, 2]).topk(1).to_delayed()).compute() == [2]
    with pytest.raises(TypeError, match="takes Delayed values, not int"):
        db.from_delayed([1])


def test_from_url(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x\ny")
    bag = db.from_url([(tmp_path / "a").as_uri()])
    assert bag.compute() == [b"x\n", b"y"]


def test_concat_and_zip() -> None:
    both = db.concat([numbers(4, 2), numbers(2, 1).map(str)])
    assert (both.npartitions, both.compute()) == (3, [0, 1, 2, 3, "0", "1"])
    assert db.zip(numbers(), numbers().map(str)).compute() == [(i, str(i)) for i in range(10)]
    # Partition by partition: (0..4, 5..9) beside (0..3, 4..6).
    assert db.zip(numbers(10, 2), numbers(7, 2)).compute() == [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 3),
        (5, 4),
        (6, 5),
        (7, 6),
    ]
    with pytest.raises(ValueError, match="same number of partitions, not 2, 5"):
        db.zip(numbers(10, 2), numbers(10, 5))


# ---- elements ----

STEPS = {
    "map": (lambda b: b.map(lambda x: x + 1), lambda s: [x + 1 for x in s]),
    "map constant": (lambda b: b.map(add, 5), lambda s: [x + 5 for x in s]),
    "map keyword": (lambda b: b.map(pow, exp=2), lambda s: [x**2 for x in s]),
    "filter": (lambda b: b.filter(lambda x: x % 2), lambda s: [x for x in s if x % 2]),
    "filter None": (lambda b: b.filter(None), lambda s: [x for x in s if x]),
    "remove": (lambda b: b.remove(lambda x: x % 2), lambda s: [x for x in s if not x % 2]),
    "flatten": (lambda b: b.map(lambda x: [x] * x).flatten(), lambda s: [x for x in s for _ in range(x)]),
    "flatten strings": (lambda b: b.map(lambda x: "a" * x).flatten(), lambda s: ["a"] * sum(s)),
    "generators": (
        lambda b: b.map(lambda x: (y for y in range(x))),
        lambda s: [list(range(x)) for x in s],
    ),
    "starmap": (lambda b: b.map(lambda x: (x, 2)).starmap(pow), lambda s: [x**2 for x in s]),
    "starmap keyword": (
        lambda b: b.map(lambda x: (x, 2)).starmap(lambda x, y, z: x * y + z, z=1),
        lambda s: [2 * x + 1 for x in s],
    ),
    "map_partitions": (lambda b: b.map_partitions(lambda p: (x for x in p)), list),
}


@pytest.mark.parametrize("npartitions", [1, 3, 10])
@pytest.mark.parametrize("name", STEPS)
def test_steps(name, npartitions) -> None:
    step, expected = STEPS[name]
    assert step(numbers(10, npartitions)).compute() == expected(list(range(10)))
    assert step(db.from_sequence([])).compute() == []


@given(
    st.lists(st.integers(-5, 5), max_size=30),
    st.integers(1, 8),
    st.lists(st.sampled_from(["map", "filter", "remove", "pluck", "map_partitions"]), max_size=6),
)
def test_chains_of_steps(elements, npartitions, names) -> None:
    bag, expected = db.from_sequence(elements, npartitions=npartitions), elements
    for name in names:
        if name == "map":
            bag, expected = bag.map(add, 1), [x + 1 for x in expected]
        elif name == "filter":
            bag, expected = bag.filter(lambda x: x > 0), [x for x in expected if x > 0]
        elif name == "remove":
            bag, expected = bag.remove(lambda x: x > 3), [x for x in expected if not x > 3]
        elif name == "pluck":
            bag, expected = bag.map(lambda x: (x, -x)).pluck(1), [-x for x in expected]
        else:
            bag = bag.map_partitions(lambda p: [x * 2 for x in p])
            expected = [x * 2 for x in expected]
    assert bag.compute() == expected


@pytest.mark.parametrize(
    ("key", "default", "expected"),
    [
        ("name", None, list("abacba")),
        (["name", "value"], None, [tuple(r.values()) for r in RECORDS]),
        (["name"], None, [(r["name"],) for r in RECORDS]),
        ([], None, [()] * 6),
        ("missing", 7, [7] * 6),
        (["name", "missing"], 7, [(r["name"], 7) for r in RECORDS]),
    ],
)
def test_pluck(key, default, expected) -> None:
    bag = records().pluck(key) if default is None else records().pluck(key, default)
    assert bag.compute() == expected


def test_pluck_without_default_needs_the_item() -> None:
    with pytest.raises(KeyError, match="missing"):
        records().pluck("missing").compute()


def test_unzip() -> None:
    squares = [(i, i * i) for i in range(5)]
    assert [bag.compute() for bag in db.from_sequence(squares).unzip(2)] == [
        list(c) for c in zip(*squares, strict=True)
    ]


def test_map_takes_bags_items_and_delayed_values() -> None:
    b = numbers()
    assert b.map(add, b.map(lambda x: 10 * x)).compute() == [11 * x for x in range(10)]
    assert b.map(lambda x, y, z: x + y * z, z=b, y=b.max()).compute() == [x + 9 * x for x in range(10)]
    assert db.map(operator.sub, 100, b).compute() == [100 - x for x in range(10)]
    assert b.map(add, pantile.delayed(add)(1, 2)).compute() == [x + 3 for x in range(10)]
    assert b.map(lambda x, y: x + y["a"][0], {"a": [b.max(), 5]}).compute() == [x + 9 for x in range(10)]


def test_map_partitions_takes_bags_items_and_delayed_values() -> None:
    b = numbers(9, 3)
    shift = b.map_partitions(lambda p, by, more: [x + by + more for x in p], b.max(), more=pantile.delayed(1))
    assert shift.compute() == [x + 9 for x in range(9)]
    assert db.map_partitions(lambda p, q: [len(p) + len(q)], b, q=numbers(6, 3)).compute() == [5, 5, 5]


def test_starmap_takes_lazy_keywords() -> None:
    pairs = db.from_sequence([(1, 2), (3, 4)])
    assert pairs.starmap(lambda x, y, z: x + y + z, z=pairs.pluck(1).max()).compute() == [7, 11]
    assert pairs.starmap(lambda x, y, z: (x, y, z), z=numbers(2)).compute() == [
        (1, 2, [0, 1]),
        (3, 4, [0, 1]),
    ]


def test_map_partitions_gets_lists_and_may_give_single_values() -> None:
    assert numbers().map(str).map_partitions(lambda p: [type(p)]).compute() == [list] * 3
    assert numbers().map_partitions(len).compute() == [4, 4, 2]
    assert numbers().map_partitions(lambda p: "ab").compute() == ["ab"] * 3


def test_a_function_may_change_the_list_that_it_gets() -> None:
    bag = numbers()
    assert bag.map_partitions(lambda p: [p.pop(), p.clear()][:1]).compute() == [3, 7, 9]
    assert bag.compute() == list(range(10))


def test_one_shot_iterators_are_used_more_than_once() -> None:
    bag = numbers().map_partitions(lambda p: (x * 2 for x in p))
    total, count = pantile.compute(bag.sum(), bag.count())
    assert (total, count) == (90, 10)
    assert bag.compute() == [2 * x for x in range(10)]


@pytest.mark.parametrize("lengths", [(4, 3), (3, 4)])
def test_map_needs_partitions_of_equal_length(lengths) -> None:
    first, second = (db.from_sequence(range(n), partition_size=2) for n in lengths)
    with pytest.raises(ValueError, match="different lengths"):
        first.map(add, second).compute()


def test_map_says_what_is_wrong_at_once() -> None:
    with pytest.raises(ValueError, match="same number of partitions, not 2, 5"):
        numbers(10, 2).map(add, numbers(10, 5))
    with pytest.raises(ValueError, match="at least one bag"):
        db.map(add, 1, 2)
    with pytest.raises(TypeError, match="map needs a function, not int: 3"):
        numbers().map(3)


def test_strings() -> None:
    b = db.from_sequence(["Alice Smith", "Bob Jones"])
    assert b.str.lower().compute() == ["alice smith", "bob jones"]
    assert b.str.split(" ", maxsplit=1).compute() == [["Alice", "Smith"], ["Bob", "Jones"]]
    assert b.str.match("*Smith").compute() == ["Alice Smith"]
    assert "lower" in dir(b.str)
    with pytest.raises(AttributeError, match="strings have no method 'nope'"):
        b.str.nope


# ---- reductions ----

SEQUENCES = [[3], list(range(10)), [0, 0, 0], [2.5, -1.0, 7.25], [True, False]]
REDUCTIONS = {
    "sum": sum,
    "max": max,
    "min": min,
    "any": any,
    "all": all,
    "count": len,
    "mean": statistics.fmean,
    "var": lambda s: statistics.pvariance(map(float, s)),
    "std": lambda s: statistics.pstdev(map(float, s)),
}


@pytest.mark.parametrize("npartitions", [1, 2, 9])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, npartitions) -> None:
    for elements in SEQUENCES:
        found = getattr(db.from_sequence(elements, npartitions=npartitions), name)().compute()
        assert found == pytest.approx(REDUCTIONS[name](elements), rel=1e-14), elements


@pytest.mark.parametrize("empty", [db.from_sequence([]), numbers().filter(lambda x: False)])
def test_reductions_of_nothing(empty) -> None:
    assert (empty.sum().compute(), empty.count().compute()) == (0, 0)
    assert (empty.any().compute(), empty.all().compute()) == (False, True)
    assert empty.frequencies().compute() == empty.topk(3).compute() == empty.distinct().compute() == []
    assert empty.foldby(abs, add).compute() == []
    for name in ("max", "min"):
        with pytest.raises(ValueError):
            getattr(empty, name)().compute()
    for name in ("mean", "var"):
        with pytest.raises(ZeroDivisionError, match="the mean of a bag without elements"):
            getattr(empty, name)().compute()


def test_empty_partitions_take_no_part() -> None:
    late = numbers(10, 5).filter(lambda x: x > 7)
    assert late.max().compute() == 9
    assert late.fold(add).compute() == 17
    assert late.mean().compute() == 8.5
    assert late.reduction(lambda p: [sum(p)], lambda ps: list(itertools.chain(*ps))).compute() == [17]


def test_variance_of_large_numbers_is_exact() -> None:
    elements = [1e9 + d for d in (0.0, 1.0, 2.0, 3.0)] * 5
    assert db.from_sequence(elements, npartitions=4).var().compute() == pytest.approx(1.25, rel=1e-9)
    assert db.from_sequence([1, 2, 4]).var(ddof=1).compute() == pytest.approx(7 / 3)
    with pytest.raises(ZeroDivisionError, match="1 elements with ddof=1"):
        db.from_sequence([1]).var(ddof=1).compute()


def test_trees_have_the_width_that_was_asked_for() -> None:
    def widths(split_every):
        seen: list[int] = []

        def aggregate(found):
            seen.append(len(found))
            return sum(found)

        total = numbers(30, 20).reduction(sum, aggregate, split_every=split_every).compute(executor="sync")
        assert total == sum(range(30))
        return sorted(seen)

    # 30 elements in 20 pieces of 2 are 15 partitions.
    assert widths(None) == [2, 7, 8]
    assert widths(4) == [3, 4, 4, 4, 4]
    assert widths(False) == [15]
    with pytest.raises(ValueError, match="split_every is 1"):
        numbers().sum(split_every=1)


def test_reduction_to_a_bag() -> None:
    merged = numbers().reduction(sorted, lambda ps: sorted(itertools.chain(*ps)), out_type=db.Bag)
    assert (merged.npartitions, merged.compute()) == (1, list(range(10)))
    with pytest.raises(TypeError, match="must be Item or Bag"):
        numbers().reduction(sum, sum, out_type=list)


def test_functions_may_be_objects_that_cannot_be_hashed() -> None:
    class Total:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, elements):
            return sum(elements)

    assert numbers().reduction(Total(), Total()).compute() == 45
    assert numbers().map_partitions(lambda p, f: [f(p)], Total()).sum().compute() == 45


def test_fold() -> None:
    assert numbers().fold(add).compute() == 45
    assert numbers().fold(lambda seen, x: seen | {x}, set.union, initial=set()).compute() == set(range(10))


def test_initial_values_are_not_shared() -> None:
    """A function may change the total that it is given; other partitions and keys have their own."""

    def append(total, x):
        total.append(x)
        return total

    initial: list[int] = []
    assert numbers().fold(append, add, initial=initial).compute() == list(range(10))
    by_parity = numbers(6, 2).foldby(lambda x: x % 2, append, initial, add).compute()
    assert dict(by_parity) == {0: [0, 2, 4], 1: [1, 3, 5]}
    assert initial == []


@pytest.mark.parametrize("split_every", [None, 2, False])
def test_foldby(split_every) -> None:
    b = numbers(50, 20)
    expected = {k: sum(x for x in range(50) if x % 3 == k) for k in range(3)}
    assert dict(b.foldby(lambda x: x % 3, add, split_every=split_every)) == expected
    counts = b.foldby(lambda x: x % 3, lambda n, _: n + 1, 0, add, 0, split_every=split_every)
    assert dict(counts) == Counter(x % 3 for x in range(50))


def test_foldby_keys_and_callable_initial() -> None:
    by_name = records().foldby("name", lambda total, r: total + [r["value"]], list, add).compute()
    assert by_name == [("a", [0, 2, 5]), ("b", [1, 4]), ("c", [3])]
    assert len(records().foldby(["name", "value"], max).compute()) == 6


def test_frequencies() -> None:
    text = db.from_sequence("hello world", npartitions=4)
    assert text.frequencies().compute() == list(Counter("hello world").items())
    assert text.frequencies(split_every=2, sort=True).compute()[:2] == [("l", 3), ("o", 2)]
    with pytest.raises(TypeError, match="unhashable"):
        db.from_sequence([[1]]).frequencies().compute()


@pytest.mark.parametrize(
    ("elements", "key", "expected"),
    [
        ([10, 3, 5, 7, 11, 4], None, [11, 10]),
        ([10, 3, 5, 7, 11, 4], lambda x: -x, [3, 4]),
        ([(1, 2), (3, 1), (2, 5)], lambda a, b: b, [(2, 5), (1, 2)]),
        ([(1, 2), (3, 1), (2, 5)], 0, [(3, 1), (2, 5)]),
        (["a", "bbb", "cc"], len, ["bbb", "cc"]),
        ([(1, "a"), (1, "b"), (1, "c"), (0, "d")], operator.itemgetter(0), [(1, "a"), (1, "b")]),
    ],
)
def test_topk(elements, key, expected) -> None:
    assert db.from_sequence(elements, npartitions=3).topk(2, key, split_every=2).compute() == expected


def test_distinct() -> None:
    assert db.from_sequence([3, 1, 3, 2, 1], npartitions=3).distinct().compute() == [3, 1, 2]
    assert records().distinct("name").compute() == [RECORDS[0], RECORDS[1], RECORDS[3]]
    assert records().distinct(lambda r: r["value"] % 2).compute() == RECORDS[:2]


@pytest.mark.parametrize("npartitions", [1, 2, 5])
def test_accumulate(npartitions) -> None:
    b = numbers(10, npartitions)
    assert b.accumulate(add).compute() == list(itertools.accumulate(range(10)))
    assert b.accumulate(add, initial=-1).compute() == list(itertools.accumulate(range(10), initial=-1))
    assert b.accumulate(add).npartitions == b.npartitions
    for keep in (lambda x: x > 3, lambda x: x < 2 or x > 7, lambda x: False):
        expected = list(itertools.accumulate(filter(keep, range(10))))
        assert b.filter(keep).accumulate(add).compute() == expected


def test_accumulate_over_many_partitions_needs_no_deep_stack() -> None:
    assert db.range(3000, 3000).accumulate(add).sum().compute() == sum(itertools.accumulate(range(3000)))


# ---- taking ----


def test_take() -> None:
    assert numbers().take(2) == (0, 1)
    assert numbers().take(7, npartitions=2) == tuple(range(7))
    assert numbers().take(9, npartitions=-1) == tuple(range(9))
    assert numbers().take(2, compute=False).compute() == [0, 1]
    with pytest.warns(UserWarning, match="9 elements were asked for and 4 found"):
        assert numbers().take(9) == (0, 1, 2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        numbers().take(9, warn=False)
    with pytest.raises(ValueError, match="npartitions is 4, but the bag has only 3"):
        numbers().take(1, npartitions=4)


def test_take_makes_no_more_elements_than_it_needs() -> None:
    seen: list[int] = []

    def look(x):
        seen.append(x)
        return x

    assert numbers(1000, 2).map(look).filter(lambda x: x % 2).take(2) == (1, 3)
    assert seen == [0, 1, 2, 3]


def test_random_sample() -> None:
    b = numbers(2000, 7)
    chosen = b.random_sample(0.25, 1).compute()
    assert chosen == b.random_sample(0.25, 1).compute() == b.random_sample(0.25, random.Random(1)).compute()
    assert set(chosen) < set(range(2000))
    assert 400 < len(chosen) < 600
    assert (b.random_sample(0, 1).compute(), b.random_sample(1, 1).compute()) == ([], list(range(2000)))
    with pytest.raises(ValueError, match=r"prob is 1\.5"):
        b.random_sample(1.5)


def test_random_sample_is_dasks() -> None:
    """Computed with Dask 2026.8: the same seed gives the same elements."""
    assert numbers(30, 3).random_sample(0.3, 43).compute() == DASK_SAMPLE


DASK_SAMPLE = [0, 6, 7, 10, 22, 23, 24, 27]


def test_sample_and_choices() -> None:
    assert sorted(db.random.sample(numbers(), 10).compute()) == list(range(10))
    assert db.random.sample(numbers(), 0).compute() == []
    few = db.random.sample(numbers(100, 20), 30, split_every=3).compute()
    assert len(set(few)) == 30
    many = db.random.choices(numbers(), 300).compute()
    assert (len(many), set(many)) == (300, set(range(10)))
    assert db.random.choices(numbers(10, 5).filter(lambda x: x == 7), 3).compute() == [7, 7, 7]
    with pytest.raises(ValueError, match="a sample of 11 elements from a bag with 10"):
        db.random.sample(numbers(), 11).compute()
    with pytest.raises(ValueError, match="1 choices from a bag without elements"):
        db.random.choices(db.from_sequence([])).compute()
    with pytest.raises(ValueError, match="k is -1"):
        db.random.sample(numbers(), -1)


def test_samples_are_uniform() -> None:
    """Partitions of very different lengths: each element is as likely as any other (within five standard deviations)."""
    bag = db.concat([db.from_sequence([0], npartitions=1), db.from_sequence(range(1, 10), npartitions=1)])
    for function, k in ((db.random.sample, 3), (db.random.choices, 3)):
        random.seed(11)
        drawn = Counter(x for _ in range(400) for x in function(bag, k).compute())
        for x in range(10):
            assert abs(drawn[x] - 120) < 5 * math.sqrt(120), (function.__name__, x)


def test_samples_follow_the_seed() -> None:
    random.seed(5)
    first = db.random.sample(numbers(1000, 4), 5)
    random.seed(5)
    again = db.random.sample(numbers(1000, 4), 5)
    assert first.compute() == first.compute() == again.compute()


# ---- moving elements ----


@pytest.mark.parametrize("npartitions", [1, 2, 3, 4, 7, 10, 12])
@pytest.mark.parametrize("before", [1, 3, 5])
def test_repartition(before, npartitions) -> None:
    bag = numbers(10, before)
    after = bag.repartition(npartitions)
    assert (after.npartitions, after.compute()) == (npartitions, list(range(10)))


def test_repartition_by_size() -> None:
    bag = db.from_sequence(["x" * 1000] * 100 + ["y"] * 100, npartitions=2)
    after = bag.repartition(partition_size="20kB")
    assert after.compute() == bag.compute()
    assert 5 <= after.npartitions <= 12
    assert max(sum(map(sys.getsizeof, p)) for p in parts(after)) <= 22_000
    assert numbers().repartition(partition_size="1MB").npartitions == 1


def test_repartition_refuses() -> None:
    for arguments in ({}, {"npartitions": 1, "partition_size": 1}):
        with pytest.raises(ValueError, match="npartitions or partition_size, and not both"):
            numbers().repartition(**arguments)
    with pytest.raises(ValueError, match="at least one partition"):
        numbers().repartition(0)


@pytest.mark.parametrize("in_files", [False, True])
@pytest.mark.parametrize("npartitions", [None, 1, 9])
def test_groupby(npartitions, in_files, tmp_path, monkeypatch) -> None:
    if in_files:
        monkeypatch.setattr(shuffle, "size_of", lambda elements: 1 << 60)
    with pantile.config.set(spill_dir=str(tmp_path)):
        grouped = numbers(50, 4).groupby(lambda x: x % 7, npartitions=npartitions, blocksize=3)
        assert grouped.npartitions == (npartitions or 4)
        # Elements keep their order.
        assert dict(grouped.compute()) == {k: list(range(k, 50, 7)) for k in range(7)}
        assert grouped.compute() == grouped.compute()
        assert list(tmp_path.iterdir()) == []


def test_groupby_leaves_nothing_when_it_fails(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shuffle, "size_of", lambda elements: 1 << 60)
    with pantile.config.set(spill_dir=str(tmp_path)), pytest.raises(ZeroDivisionError):
        numbers(50, 4).groupby(lambda x: 1 // (40 - x), blocksize=3).compute()
    assert list(tmp_path.iterdir()) == []


def test_groupby_removes_what_a_killed_process_left(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shuffle, "size_of", lambda elements: 1 << 60)
    old = tmp_path / "pantile-shuffle-0123"
    old.mkdir()
    (old / "lock").touch()
    (old / "data").write_text("x")
    os.utime(old, (0, 0))
    with pantile.config.set(spill_dir=str(tmp_path)):
        numbers().groupby(abs).compute()
    assert list(tmp_path.iterdir()) == []


def test_groupby_leaves_nothing_while_somebody_has_the_exception(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shuffle, "size_of", lambda elements: 1 << 60)
    seen: list[int] = []

    class Stops:
        def __init__(self, key: int) -> None:
            self.key = key

        def __setstate__(self, state: Any) -> None:
            seen.append(len(list(tmp_path.glob("*/*"))))
            raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[__name__], "_Stops", Stops, raising=False)
    Stops.__qualname__ = "_Stops"
    with pantile.config.set(spill_dir=str(tmp_path)):
        bag = db.from_sequence([Stops(i) for i in range(9)], npartitions=3).groupby(lambda s: s.key)
        with pytest.raises(KeyboardInterrupt) as info:
            bag.compute()
    assert seen[0] == 4  # a file for each partition, and the lock
    assert info.value is not None
    assert list(tmp_path.iterdir()) == []


def test_groupby_removes_what_a_killed_worker_left(tmp_path) -> None:
    folder = shuffle.Folder(str(tmp_path / "pantile-shuffle-1"), os.getpid())
    Path(folder.open(), "part of a file").touch()
    assert pickle.loads(pickle.dumps(folder)) is folder
    del folder
    assert list(tmp_path.iterdir()) == []


_IN_FILES = """
import os, signal, sys
import pantile, pantile.bag as db
from pantile.bag import shuffle
shuffle.size_of = lambda elements: 1 << 60
def key(x):
    if x == 45:
        assert any(os.scandir(sys.argv[1]))
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
        while True:
            pass
    return x
with pantile.config.set(spill_dir=sys.argv[1]):
    bag = db.from_sequence(range(50), npartitions=5).groupby(key, blocksize=1)
    pantile.compute(bag, executor="sync")
"""


def _interrupted(folder: Path, how: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _IN_FILES, str(folder), how], capture_output=True, timeout=60
    )
    assert ended.returncode != 0
    assert (b"KeyboardInterrupt" in ended.stderr) == (how == "SIGINT"), ended.stderr.decode()


def test_groupby_leaves_nothing_when_interrupted(tmp_path) -> None:
    _interrupted(tmp_path, "SIGINT")
    assert list(tmp_path.iterdir()) == []


def test_a_small_groupby_removes_what_a_process_left_that_was_just_killed(tmp_path) -> None:
    _interrupted(tmp_path, "SIGKILL")
    assert len(list(tmp_path.glob("pantile-shuffle-*/*"))) > 1
    alive = shuffle.Folder(str(tmp_path / "pantile-shuffle-alive"), os.getpid())
    Path(alive.open(), "file").touch()
    with pantile.config.set(spill_dir=str(tmp_path)):
        numbers().groupby(abs).compute()
    assert [p.name for p in tmp_path.iterdir()] == ["pantile-shuffle-alive"]
    assert Path(alive.path, "file").exists()


def test_groupby_takes_equal_keys_together() -> None:
    keys = [
        1,
        1.0,
        True,
        Fraction(1),
        "1",
        b"1",
        (1, "a"),
        (1.0, "a"),
        None,
        None,
        frozenset("ab"),
        frozenset("ba"),
    ]
    grouped = db.from_sequence(keys, npartitions=12).groupby(lambda k: k).compute()
    assert sorted(len(group) for _, group in grouped) == [1, 1, 2, 2, 2, 4]


def test_groupby_takes_keys_and_refuses_bad_arguments() -> None:
    assert sorted((k, len(g)) for k, g in records().groupby("name", shuffle="tasks")) == [
        ("a", 3),
        ("b", 2),
        ("c", 1),
    ]
    with pytest.raises(ValueError, match="shuffle is 'magic'"):
        numbers().groupby(abs, shuffle="magic")
    with pytest.raises(ValueError, match="is called shuffle="):
        numbers().groupby(abs, method="disk")


def test_buckets_are_the_same_in_every_process() -> None:
    import subprocess

    code = (
        "import datetime as dt; from pantile.bag.shuffle import bucket_hash as h;"
        "print(h('é'), h(b'x'), h(3), h(2.5), h((1, 'a')), h(None), h(frozenset('abc')), h(dt.datetime(2024, 1, 2)))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in "12"
    }
    assert len(found) == 1


def test_buckets_are_about_equally_full() -> None:
    for keys in (range(0, 64_000, 64), [f"key {i}" for i in range(1000)], [(i, "x") for i in range(1000)]):
        sizes = [
            len(p) for p in parts(db.from_sequence(keys, npartitions=1).groupby(lambda k: k, npartitions=8))
        ]
        assert min(sizes) > 60, keys
        assert max(sizes) < 200, keys


def test_join() -> None:
    people = db.from_sequence(["Alice", "Bob", "Charlie", "Al"], npartitions=2)
    fruit = ["Apple", "Apricot", "Banana"]
    expected = [(f, p) for p in ["Alice", "Bob", "Charlie", "Al"] for f in fruit if f[0] == p[0]]
    for other in (fruit, db.from_sequence(fruit, npartitions=1), pantile.delayed(fruit), iter(fruit)):
        assert people.join(other, lambda x: x[0]).compute() == expected
    assert records().join([("a", 1)], "name", 0).count().compute() == 3
    with pytest.raises(NotImplementedError, match="the other bag has 3 partitions"):
        people.join(numbers(), abs)
    with pytest.raises(TypeError, match="not int"):
        people.join(3, abs)


def test_product() -> None:
    bag = numbers(3, 2).product(numbers(4, 2).map(str))
    assert bag.npartitions == 4
    assert sorted(bag.compute()) == sorted(itertools.product(range(3), "0123"))


# ---- the bag itself ----


def test_fused_steps_are_one_task_a_partition() -> None:
    bag = functools.reduce(lambda b, _: b.map(add, 1), range(200), numbers())
    nodes, finish = bag.__pantile_graph__()
    assert len(nodes) == 3
    assert finish([[1], [2], [3]]) == [1, 2, 3]
    assert bag.compute() == [x + 200 for x in range(10)]


def test_shared_steps_run_once() -> None:
    calls: list[int] = []

    def look(x):
        calls.append(x)
        return x

    shared = numbers().map(look)
    results = pantile.compute(shared.map(add, 1).sum(), shared.filter(lambda x: x > 5).count(), shared)
    assert results == (55, 4, list(range(10)))
    assert sorted(calls) == list(range(10))


def test_items() -> None:
    total = numbers().sum()
    assert (int(total), float(total), complex(total), bool(total)) == (45, 45.0, 45 + 0j, True)
    assert total.apply(math.sqrt).compute() == math.sqrt(45)
    assert total.to_delayed().compute() == total.persist().compute() == 45
    assert db.Item.from_delayed(pantile.delayed(add)(1, 2)).compute() == 3
    assert repr(total) == "pantile.bag.Item<sum>"
    with pytest.raises(TypeError, match="not of int"):
        db.Item.from_delayed(3)


def test_pickling() -> None:
    chain = functools.reduce(lambda b, _: b.map(abs), range(500), numbers())
    for lazy in (chain, chain.sum(), records().pluck("name", None).frequencies(), numbers().groupby(abs)):
        assert pickle.loads(pickle.dumps(lazy)).compute() == lazy.compute()


def test_iteration_computes_and_truth_is_refused() -> None:
    assert list(numbers()) == list(range(10))
    with pytest.raises(TypeError, match="not known before it is computed"):
        bool(numbers())
    with pytest.raises(TypeError, match="not made from a graph"):
        db.Bag({("x", 0): [1]})


def test_persist_and_compute_many() -> None:
    calls: list[int] = []
    kept = numbers().map(lambda x: calls.append(x) or x).persist()
    assert kept.sum().compute() == kept.fold(add).compute() == 45
    assert len(calls) == 10
    assert db.compute(numbers().max(), 5, [numbers().min()])[:2] == (9, 5)


@dataclasses.dataclass
class _Holder:
    what: Any
    other: int = 3


class _Pair(NamedTuple):
    left: Any
    right: Any


def test_persist_of_anything() -> None:
    calls: list[int] = []
    bag = numbers().map(lambda x: calls.append(x) or x)
    item = numbers(2, 1).map(lambda x: calls.append(x) or x).sum()
    kept, again, held, pair, cut, same, total = pantile.persist(
        bag, [bag], _Holder(bag), _Pair(1, item), slice(item, None), {"a": [1]}, item
    )
    assert sorted(calls) == [0, 0, 1, 1, *range(2, 10)]
    assert kept.compute() == kept.compute() == again[0].compute() == held.what.compute() == list(range(10))
    assert (kept.npartitions, kept.name) == (bag.npartitions, bag.name)
    assert held.other == 3
    assert isinstance(pair, _Pair)
    assert pair.left == pair.right.compute() == cut.start.compute() == total.compute() == 1
    assert (cut.stop, same) == (None, {"a": [1]})
    assert len(calls) == 12
    assert bag.persist().map(abs).max().compute() == 9


def test_persist_says_what_is_too_deep() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(RecursionError, match="nested too deep, or one that holds itself"):
        pantile.persist(endless)


class _Flaky:
    """Fails at the first call with each element."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __call__(self, x: Any) -> Any:
        self.calls.append(x)
        if self.calls.count(x) < 2:
            raise RuntimeError("flaky")
        return x


def test_annotations_are_those_where_a_step_was_added() -> None:
    flaky = _Flaky()
    with pantile.annotate(retries=3):
        bag = db.from_sequence([1]).map(flaky)
    assert pickle.loads(pickle.dumps(bag)).compute() == bag.compute() == [1]
    assert flaky.calls == [1, 1]
    # Not what is in force where it is computed, nor its neighbours'.
    plain = db.from_sequence([2]).map(flaky)
    with pantile.annotate(retries=3):
        after = plain.map(abs)
        with pytest.raises(RuntimeError, match="flaky"):
            plain.compute()
    flaky.calls.clear()
    with pytest.raises(RuntimeError, match="flaky"):
        after.compute()
    assert flaky.calls == [2]
    # Reductions' own tasks, and steps that are run for the first elements.
    with pantile.annotate(retries=3):
        total = db.from_sequence([3]).fold(lambda a, b: a + flaky(b), lambda a, b: flaky(a + b), initial=0)
        first = db.from_sequence([5, 6]).map(flaky)
    assert total.compute() == 3
    assert first.take(1) == (5,)


def test_annotations_of_executors() -> None:
    here = os.getpid()
    with pantile.annotate(executor="processes"):
        there = db.from_sequence([1]).map(lambda x: os.getpid())
    assert there.compute() != [here]
    assert there.map(lambda pid: (pid, os.getpid())).compute()[0][1] == here


def test_one_task_a_partition_where_annotations_agree(tmp_path: Path) -> None:
    with pantile.annotate(priority=1):
        bag = numbers().map(abs)
    with pantile.annotate(priority=1):
        bag = bag.map(abs)
    assert len(_tasks(bag, tmp_path)) == 3
    assert len(_tasks(bag.map(abs), tmp_path)) == 6


def _tasks(bag: db.Bag, folder: Path) -> list[str]:
    with pantile.report(folder / "r.html") as seen:
        bag.compute()
    assert seen.analysis is not None
    return [n for run in seen.analysis.runs for n in run.names if n.startswith("map")]


def test_representations() -> None:
    bag = numbers().map(abs).filter(None)
    assert repr(bag) == str(bag) == "pantile.bag<filter-NoneType, npartitions=3>"
    html = numbers().map(lambda x: x).pluck("<b>")._repr_html_()
    assert "map(&lt;lambda&gt;) → pluck(&#x27;&lt;b&gt;&#x27;)" in html


def test_errors_name_the_partition_the_step_and_the_line() -> None:
    def broken(x):
        return 1 // (x - 5)

    line = sys._getframe().f_lineno + 1
    bag = numbers().map(add, 1).map(broken)
    with pytest.raises(ZeroDivisionError) as caught:
        bag.compute()
    notes = "\n".join(caught.value.__notes__)
    assert f"while computing partition 1 of a bag, in map(broken), called at {__file__}:{line}" in notes


def test_steps_that_the_traceback_does_not_show_are_all_named() -> None:
    with pytest.raises(ValueError, match="invalid literal") as caught:
        db.from_sequence(["1", "x"]).map(str.strip).map(int).compute()
    assert "in one of: map(strip), called at" in "\n".join(caught.value.__notes__)


def test_assert_eq() -> None:
    db.assert_eq(numbers(), list(range(10)))
    with pytest.raises(AssertionError, match="is not equal to"):
        db.assert_eq(numbers(), [])


def test_a_chain_runs_without_an_executor() -> None:
    """What crosses to other processes is a plain function of plain values."""
    chain = numbers().map(add, 1)._stage
    assert Chain(0, [chain.step], [0], "map")([1, 2]) == [2, 3]


# ---- text files ----


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "b.txt").write_bytes(b"four\r\nfive\rsix")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "big.txt").write_text("".join(f"line {i} {'x' * (i % 17)}\n" for i in range(1000)))
    return tmp_path


def test_read_text(folder: Path) -> None:
    assert db.read_text(folder / "a.txt").compute() == ["one\n", "two\n", "three\n"]
    bag = db.read_text(str(folder / "?.txt"))
    assert (bag.npartitions, bag.count().compute()) == (2, 6)
    assert db.read_text([folder / "b.txt", folder / "a.txt"]).take(1) == ("four\n",)
    assert db.read_text(folder / "empty.txt").compute() == []
    assert db.read_text((folder / "a.txt").as_uri()).count().compute() == 3


def test_read_text_expands_the_users_folder(folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert db.read_text("~/a.txt").count().compute() == 3
    assert db.read_text("~/**/b.tx[t]").count().compute() == 3


def test_a_name_that_exists_is_no_pattern(folder: Path) -> None:
    (folder / "x[1].txt").write_text("yes")
    assert db.read_text(folder / "x[1].txt").compute() == ["yes"]


@pytest.mark.parametrize("blocksize", [None, 100])
@pytest.mark.parametrize("delimiter", [None, "", "\n", "\r\n", "\r", "i"])
def test_line_ends(folder: Path, delimiter, blocksize) -> None:
    path = folder / "b.txt"
    if delimiter == "i":
        expected = ["four\r\nfi", "ve\rsi", "x"]
    else:
        with open(path, newline=delimiter) as file:
            expected = list(file)
    assert db.read_text(path, linedelimiter=delimiter, blocksize=blocksize).compute() == expected


@pytest.mark.parametrize("blocksize", [1, 7, 50, 1000, "1kB", "1MB"])
def test_blocks_end_with_lines(folder: Path, blocksize) -> None:
    bag = db.read_text(folder / "big.txt", blocksize=blocksize)
    assert bag.compute() == (folder / "big.txt").read_text().splitlines(keepends=True)
    size = pantile.config.parse_bytes(blocksize)
    assert bag.npartitions <= max(1, (folder / "big.txt").stat().st_size // size)


@given(st.binary(max_size=60), st.integers(1, 20), st.sampled_from([b"\n", b"ab", b";"]))
def test_any_bytes_can_be_cut(tmp_path_factory, content, blocksize, delimiter) -> None:
    path = tmp_path_factory.mktemp("cut") / "x"
    path.write_bytes(content)
    with open(path, "rb") as file:
        spans = files.cut(file, len(content), blocksize, delimiter)
    assert b"".join(content[a:b] for a, b in spans) == content
    assert all(content[a:b].endswith(delimiter) for a, b in spans[:-1])


@pytest.mark.parametrize("linedelimiter", [";", "||"])
@pytest.mark.parametrize("blocksize", [None, 3])
def test_other_delimiters(folder: Path, linedelimiter, blocksize) -> None:
    for text in ("a@b@c", "a@b@", "@", ""):
        (folder / "d").write_text(text.replace("@", linedelimiter))
        expected = [
            piece.replace("@", linedelimiter) for piece in text.replace("@", "@\0").split("\0") if piece
        ]
        assert (
            db.read_text(folder / "d", linedelimiter=linedelimiter, blocksize=blocksize).compute() == expected
        )


# What zstandard makes of "x\ny\n".
ZSTD = "28b52ffd2004210000780a790a"
OPENERS = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}


@pytest.mark.parametrize("ending", OPENERS)
def test_compressed(folder: Path, ending) -> None:
    path = folder / f"c.{ending}"
    with OPENERS[ending](path, "wb") as file:
        file.write(b"x\ny\n")
    # Files put together, as log rotation does.
    path.write_bytes(path.read_bytes() * 2)
    assert db.read_text(path).compute() == ["x\n", "y\n"] * 2
    name = {"gz": "gzip"}.get(ending, ending)
    path.rename(folder / "plain-name")
    assert db.read_text(folder / "plain-name", compression=name).count().compute() == 4
    with pytest.raises(ValueError, match="cannot be read from the middle"):
        db.read_text(folder / "plain-name", compression=name, blocksize=10)


def test_zstd_needs_no_package(folder: Path) -> None:
    path = folder / "z.zst"
    path.write_bytes(bytes.fromhex(ZSTD) * 2)
    assert db.read_text(path).compute() == ["x\n", "y\n"] * 2
    assert db.read_text(path, include_path=True).take(1) == (("x\n", str(path)),)


def test_zip_and_unknown_compression(folder: Path) -> None:
    with zipfile.ZipFile(folder / "z.zip", "w") as archive:
        archive.writestr("inside.txt", "p\nq\n")
    assert db.read_text(folder / "z.zip").compute() == ["p\n", "q\n"]
    with pytest.raises(ValueError, match="compression is 'magic'; it must be 'infer', None, or one of gzip"):
        db.read_text(folder / "a.txt", compression="magic")


def test_damaged_file_is_named(folder: Path) -> None:
    (folder / "bad.gz").write_bytes(b"this is no gzip")
    with pytest.raises((OSError, ValueError)) as caught:
        db.read_text(folder / "bad.gz").compute()
    assert "bad.gz" in str(caught.value) + "\n".join(caught.value.__notes__)


def test_encodings(folder: Path) -> None:
    (folder / "l").write_bytes("é\nü\n".encode("latin1"))
    (folder / "u").write_bytes("é\nü\n".encode("utf-16"))
    assert db.read_text(folder / "l", encoding="latin1").compute() == ["é\n", "ü\n"]
    assert db.read_text(folder / "u", encoding="utf-16").compute() == ["é\n", "ü\n"]
    assert db.read_text(folder / "l", errors="replace").compute() == ["\ufffd\n", "\ufffd\n"]
    with pytest.raises(UnicodeDecodeError):
        db.read_text(folder / "l").compute()
    with pytest.raises(ValueError, match="utf-16 cannot be cut"):
        db.read_text(folder / "u", encoding="utf-16", blocksize=2)


def test_files_per_partition_paths_and_delayed(folder: Path) -> None:
    three = [folder / "a.txt", folder / "b.txt", folder / "a.txt"]
    bag = db.read_text(three, files_per_partition=2)
    assert (bag.npartitions, bag.count().compute()) == (2, 9)
    path = str(folder / "a.txt")
    for blocksize in (None, 5):
        pairs = db.read_text(path, include_path=True, blocksize=blocksize)
        assert pairs.compute() == [("one\n", path), ("two\n", path), ("three\n", path)]
    assert [len(part.compute()) for part in db.read_text(three, collection=False)] == [3, 3, 3]
    with pytest.raises(ValueError, match="not both"):
        db.read_text(path, blocksize=3, files_per_partition=2)


@pytest.mark.parametrize("pattern", ["nope.txt", "nope*.txt"])
def test_missing_files_are_missed_at_once(folder: Path, pattern) -> None:
    with pytest.raises(FileNotFoundError, match="no file matches"):
        db.read_text(folder / pattern)
    with pytest.raises(IsADirectoryError, match="is a folder; write"):
        db.read_text(folder)


def test_take_reads_only_the_beginning(folder: Path) -> None:
    (folder / "half").write_bytes(b"fine\n" * 5000 + b"\xff\n")
    assert db.read_text(folder / "half").map(str.strip).take(2) == ("fine", "fine")


def test_json_lines(tmp_path: Path) -> None:
    written = records().map(json.dumps).to_textfiles(tmp_path / "*.json.gz")
    assert db.read_text(written).map(json.loads).compute() == RECORDS


@pytest.mark.parametrize("ending", ["txt", *OPENERS])
def test_to_textfiles(tmp_path: Path, ending) -> None:
    bag = db.from_sequence("abcdefghijkl", npartitions=11)
    paths = bag.to_textfiles(tmp_path / f"new/*.{ending}")
    assert paths == [str(tmp_path / f"new/{i}.{ending}") for i in range(6)]
    with OPENERS.get(ending, open)(paths[0], "rt") as file:
        assert file.read() == "a\nb"
    assert db.read_text(paths).map(str.strip).compute() == list("abcdefghijkl")


def test_to_textfiles_names_and_ends(tmp_path: Path) -> None:
    bag = db.from_sequence("abc", npartitions=2)
    assert [Path(p).name for p in bag.to_textfiles(tmp_path / "d")] == ["0.part", "1.part"]
    named = bag.to_textfiles(tmp_path / "*.txt", name_function=lambda i: f"n{i}", last_endline=True)
    assert [Path(p).read_text() for p in named] == ["a\nb\n", "c\n"]
    given = [tmp_path / "x", tmp_path / "y"]
    assert bag.to_textfiles(given) == [str(p) for p in given]
    for path, match in ((given[:1], "1 paths were given for 2"), (tmp_path / "*/*", r"several '\*'")):
        with pytest.raises(ValueError, match=match):
            bag.to_textfiles(path)
    with pytest.raises(ValueError, match="to the same file"):
        bag.to_textfiles(tmp_path / "*", name_function=lambda i: "same")
    with pytest.warns(UserWarning, match="not in the partitions' order"):
        bag.to_textfiles(tmp_path / "*", name_function=lambda i: "ba"[i])


def test_to_textfiles_encodings_and_later(tmp_path: Path) -> None:
    (path,) = db.from_sequence(["é", "ü"], npartitions=1).to_textfiles(tmp_path / "*", encoding="latin1")
    assert Path(path).read_bytes() == "é\nü".encode("latin1")
    (path,) = db.from_sequence([b"\xff", b"a"], npartitions=1).to_textfiles(tmp_path / "*", encoding=None)
    assert Path(path).read_bytes() == b"\xff\na"
    later = db.from_sequence("ab", npartitions=2).to_textfiles(tmp_path / "later-*", compute=False)
    assert list(tmp_path.glob("later-*")) == []
    pantile.compute(*later)
    assert len(list(tmp_path.glob("later-*"))) == 2


def test_to_textfiles_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("old")
    with pytest.raises(TypeError, match="writes strings, and an element is a int"):
        db.from_sequence(["a", 1], npartitions=1).to_textfiles([tmp_path / "1.txt"])
    assert [p.name for p in tmp_path.iterdir()] == ["1.txt"]
    assert (tmp_path / "1.txt").read_text() == "old"


def test_to_textfiles_writes_the_same_bytes_each_time(tmp_path: Path) -> None:
    bag = db.from_sequence("ab", npartitions=1)
    first = Path(bag.to_textfiles(tmp_path / "a-*.gz")[0]).read_bytes()
    assert Path(bag.to_textfiles(tmp_path / "b-*.gz")[0]).read_bytes() == first


# ---- what runs without Python's lock ----

WORDS = ["a b  a", "", "Çà ünï b", "a", "  b c ", "12", "x\ty"] * 3
NATIVE = {
    "lines": lambda b: b,
    "strip": lambda b: b.map(str.strip),
    "split": lambda b: b.map(str.split).flatten(),
    "split at": lambda b: b.map(str.split, " ", 1).flatten().map(len),
    "accessor": lambda b: b.str.strip().str.upper(),
    "filter": lambda b: b.map(str.strip).filter(None).remove(str.isdigit),
    "filter method": lambda b: b.filter(operator.methodcaller("startswith", "a")),
    "then python": lambda b: b.map(str.split).map(lambda words: words[:1]).flatten().map(str.lower),
    "int": lambda b: b.map(str.strip).filter(str.isdigit).map(int).map(add, 1),
    "float": lambda b: b.map(str.strip).filter(str.isdigit).map(float),
    "dumps": lambda b: b.map(json.dumps).map(json.loads),
    "frequencies": lambda b: b.map(str.split).flatten().frequencies(),
    "frequencies sorted": lambda b: b.map(str.split).flatten().frequencies(sort=True, split_every=2),
    "frequencies of others too": lambda b: db.concat([b, db.from_sequence([1, 2, "12\n"])]).frequencies(),
    "topk": lambda b: b.topk(4),
    "topk by length": lambda b: b.topk(4, len),
    "distinct": lambda b: b.map(str.split).flatten().distinct(),
    "count": lambda b: b.map(str.split).flatten().count(),
    "sum": lambda b: b.map(len).sum(),
    "extremes": lambda b: b.map(len).max().apply(lambda n: n * 100),
    "any": lambda b: b.map(str.strip).map(len).any(),
    "all": lambda b: b.map(str.strip).map(len).all(),
    "foldby": lambda b: b.map(len).foldby(lambda n: n % 2, add, 0, add, 0),
    "map_partitions": lambda b: b.map(str.strip).map_partitions(lambda p: [type(p) is list, len(p)]),
    "groupby": lambda b: b.groupby(len, npartitions=1),
    "accumulate": lambda b: b.map(len).accumulate(add),
    "repartition": lambda b: b.repartition(5).map(str.strip),
    "zip": lambda b: db.zip(b, b.map(len)),
    "take": lambda b: b.persist().map(str.strip).take(3, npartitions=2, compute=False),
    "nothing left": lambda b: b.filter(str.isupper).map(len).sum(),
    "mean": lambda b: b.map(len).mean(),
}


@pytest.mark.parametrize("name", NATIVE)
def test_text_from_files_is_text_from_lists(tmp_path: Path, name) -> None:
    """A chain on a file's lines, some of it run by the extension, gives what Python gives on a list of them."""
    lines = [f"{line}\n" for line in WORDS]
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text("".join(lines[7 * i : 7 * i + 7]))
    found = NATIVE[name](db.read_text(tmp_path / "*.txt")).compute()
    expected = NATIVE[name](db.from_sequence(lines, npartitions=3)).compute()
    assert found == expected
    assert repr(found) == repr(expected)  # the types too, as in 1 and True


JSON_RECORDS = [
    {"name": "a", "tags": ["x", "y"], "n": 3, "f": 0.5, "deep": {"k": None}},
    {"name": "b", "tags": [], "n": -4, "f": -0.0, "deep": {"k": [1, {"z": True}]}},
    {"name": "é\n", "tags": ["x"], "n": 10**30, "f": 1e300, "deep": {}, "more": "…"},
    {"name": "a", "tags": ["y", "y"], "n": 0, "f": 2.0, "deep": {"k": "s"}},
] * 4
JSON_CHAINS = {
    "loads": lambda b: b,
    "pluck": lambda b: b.pluck("name"),
    "pluck list": lambda b: b.pluck(["name", "n"]),
    "pluck default": lambda b: b.pluck("more", "none"),
    "pluck deep": lambda b: b.pluck("deep").pluck("k", None),
    "itemgetter": lambda b: b.map(operator.itemgetter("n", "f")),
    "flatten": lambda b: b.pluck("tags").flatten().frequencies(),
    "sum": lambda b: b.pluck("n").sum(),
    "sum of floats": lambda b: b.pluck("f").sum(),
    "min": lambda b: b.pluck("n").min(),
    "topk": lambda b: b.topk(3, "n"),
    "topk by function": lambda b: b.topk(3, operator.itemgetter("f")),
    "foldby sum": lambda b: b.pluck(["name", "n"]).foldby(0, lambda n, r: n + r[1], 0, add, 0),
    "foldby max": lambda b: b.pluck("n").foldby(lambda n: n > 0, max),
    "foldby of numbers": lambda b: b.pluck("f").foldby(float, add, 0),
    "distinct": lambda b: b.pluck("name").distinct(),
    "distinct by key": lambda b: b.distinct("name").pluck("n"),
    "dumps": lambda b: b.map(json.dumps),
    "filter": lambda b: b.filter(operator.itemgetter("tags")).pluck("n"),
}


@pytest.mark.parametrize("name", JSON_CHAINS)
def test_json_from_files_is_json_from_lists(tmp_path: Path, name) -> None:
    lines = [json.dumps(r) + "\n" for r in JSON_RECORDS]
    (tmp_path / "0.json").write_text("".join(lines[:10]))
    (tmp_path / "1.json").write_text("".join(lines[10:]))
    found = JSON_CHAINS[name](db.read_text(tmp_path / "*.json").map(json.loads)).compute()
    expected = JSON_CHAINS[name](db.from_sequence(lines, npartitions=2).map(json.loads)).compute()
    assert repr(found) == repr(expected)


def test_hot_chains_call_no_python_for_elements(tmp_path: Path) -> None:
    """Counting the words of JSON lines is one call of the extension a partition."""
    from pantile.bag import native

    (tmp_path / "a.json").write_text(json.dumps({"text": "a b a"}) + "\n")
    bag = (
        db.read_text(tmp_path / "a.json").map(json.loads).pluck("text").map(str.split).flatten().frequencies()
    )
    stages = bag._stage.sources[0].inputs[0].stage._chain(0)[1]
    steps = [stage.step for stage in reversed(stages)]
    done, value = native.run_native(steps, pantile._native.bag_read(str(tmp_path / "a.json")))
    assert done == len(steps) == 5
    assert value.items() == [("a", 2), ("b", 1)]


@pytest.mark.parametrize(
    "function", [lambda s: s.strip(), functools.partial(str.strip), "abc".count, str, bytes.decode]
)
def test_functions_that_only_look_native_are_pythons(function) -> None:
    from pantile.bag.native import spec_of

    assert spec_of(function, []) is None


def test_a_replaced_function_is_not_taken_for_the_original(monkeypatch) -> None:
    from pantile.bag.native import spec_of

    assert spec_of(json.loads, []) == ("json.loads",)
    monkeypatch.setattr(json, "loads", lambda text: "mine")
    assert spec_of(json.loads, []) is None


def test_errors_in_native_steps_are_pythons(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}\n{"b": 2}\nno json\n')
    records = db.read_text(tmp_path / "a.json").map(json.loads)
    with pytest.raises(json.JSONDecodeError, match="Expecting value: line 1 column 1"):
        records.compute()
    (tmp_path / "a.json").write_text('{"a": 1}\n{"b": 2}\n')
    with pytest.raises(KeyError, match="'a'"):
        records.pluck("a").compute()
    with pytest.raises(TypeError, match="unhashable type: 'dict'"):
        records.frequencies().compute()


# ---- other packages ----


def test_avro(tmp_path: Path) -> None:
    pytest.importorskip("fastavro")
    schema = {
        "name": "Test",
        "type": "record",
        "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": "int"}],
    }
    elements = [{"name": f"n{i}", "value": i} for i in range(2000)]
    bag = db.from_sequence(elements, npartitions=2)
    paths = bag.to_avro(tmp_path / "*.avro", schema, codec="deflate", sync_interval=500)
    assert [Path(p).name for p in paths] == ["0.avro", "1.avro"]
    for blocksize in (None, 10**8, 300, 7000):
        assert db.read_avro(paths, blocksize=blocksize).compute() == elements
    assert db.read_avro(paths, blocksize=1000).npartitions == 8
    with pytest.raises(ValueError, match="has no fields"):
        bag.to_avro(tmp_path / "*.avro", {"name": "x", "type": "record"})
    with pytest.raises(ValueError, match="from the middle"):
        db.read_avro(paths, compression="gzip")


def test_to_dataframe() -> None:
    pd = pytest.importorskip("pandas")
    frame = records().to_dataframe().compute()
    assert frame.to_dict("records") == RECORDS
    assert list(frame.index) == [0, 1, 2, 0, 1, 2]
    assert list(records().to_dataframe(columns=["value"]).compute()) == ["value"]
    typed = records().to_dataframe(meta={"name": "object", "value": "float32"}).compute()
    assert typed["value"].dtype == "float32"
    assert list(numbers(3).to_dataframe(columns=["x"]).compute()["x"]) == [0, 1, 2]
    assert isinstance(db.from_sequence([]).to_dataframe(columns=["x"]).compute(), pd.DataFrame)
    with pytest.raises(ValueError, match="not both"):
        records().to_dataframe(meta={"name": "object"}, columns=["name"])


def test_fsspec() -> None:
    fsspec = pytest.importorskip("fsspec")
    written = db.from_sequence(["one", "two", "three"], npartitions=2).to_textfiles(
        "memory://bag-test/*.txt.gz"
    )
    assert written == ["memory://bag-test/0.txt.gz", "memory://bag-test/1.txt.gz"]
    assert db.read_text("memory://bag-test/*.gz").map(str.strip).compute() == ["one", "two", "three"]
    with fsspec.open("memory://bag-test/plain", "wt") as file:
        file.write("".join(f"{i}\n" for i in range(100)))
    cut = db.read_text("memory://bag-test/plain", blocksize=20)
    assert cut.npartitions > 5
    assert cut.map(int).compute() == list(range(100))
    with pytest.raises(FileNotFoundError, match="no file matches memory://bag-test/nope"):
        db.read_text("memory://bag-test/nope*")
