"""Annotations: nesting, threads, coroutines, checks."""

from __future__ import annotations

import asyncio
import threading

import pytest
from pantile import annotate, get_annotations
from pantile.annotations import current


def test_nothing() -> None:
    assert current() is None
    assert get_annotations() == {}


def test_nesting() -> None:
    with annotate(priority=1, retries=2, note="a"):
        assert current() == {"priority": 1, "retries": 2, "note": "a"}
        with annotate(priority=5, resources={"GPU": 1}):
            assert get_annotations() == {"priority": 5, "retries": 2, "note": "a", "resources": {"GPU": 1}}
        assert get_annotations() == {"priority": 1, "retries": 2, "note": "a"}
    assert current() is None


def test_what_is_in_force_never_changes() -> None:
    with annotate(priority=1):
        outer = current()
        assert current() is outer
        with annotate(priority=2):
            pass
        assert current() is outer == {"priority": 1}
        get_annotations()["priority"] = 7
        assert current() == {"priority": 1}


def test_an_exception_ends_a_block() -> None:
    with pytest.raises(ZeroDivisionError), annotate(priority=1):
        1 / 0
    assert current() is None


def test_one_object_many_times() -> None:
    again = annotate(priority=1)
    with again, annotate(priority=2), again:
        assert current() == {"priority": 1}
    assert current() is None

    @annotate(retries=3)
    def depth(n: int) -> list:
        """Doc."""
        return [current()] + (depth(n - 1) if n else [])

    assert depth(2) == [{"retries": 3}] * 3
    assert depth.__doc__ == "Doc."
    assert current() is None


def test_threads_have_their_own() -> None:
    shared = annotate(priority=1)
    seen: list = []
    barrier = threading.Barrier(4)

    def work(n: int) -> None:
        before = current()
        with shared, annotate(n=n):
            barrier.wait()
            inside = current()
            barrier.wait()
        seen.append((n, before, inside, current()))

    with annotate(main=True):
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert sorted(seen, key=lambda s: s[0]) == [(n, None, {"priority": 1, "n": n}, None) for n in range(4)]


def test_coroutines_have_their_own_and_inherit() -> None:
    async def work(n: int) -> tuple:
        with annotate(n=n):
            await asyncio.sleep(0)
            inside = current()
            await asyncio.sleep(0)
        return inside, current()

    async def main() -> list:
        with annotate(priority=1):
            return await asyncio.gather(*(work(n) for n in range(5)))

    assert asyncio.run(main()) == [({"priority": 1, "n": n}, {"priority": 1}) for n in range(5)]


@pytest.mark.parametrize(
    ("annotations", "error", "message"),
    [
        ({"priority": "high"}, TypeError, "priority must be an integer, not 'high'"),
        ({"priority": True}, TypeError, "priority must be an integer, not True"),
        ({"priority": 1.5}, TypeError, "priority must be an integer, not 1.5"),
        ({"retries": -1}, ValueError, "retries must be 0 or more, not -1"),
        ({"retries": None}, TypeError, "retries must be an integer, not None"),
        ({"resources": ["GPU"]}, TypeError, "resources must be a dictionary"),
        ({"resources": {1: 1}}, TypeError, "the name of a resource must be a string, not 1"),
        ({"resources": {"GPU": "1"}}, TypeError, "the amount of resource 'GPU' must be a number, not '1'"),
        ({"resources": {"GPU": -1}}, ValueError, "must be finite and not negative, not -1"),
        ({"resources": {"GPU": float("nan")}}, ValueError, "must be finite and not negative, not nan"),
        (
            {"executor": "magic"},
            ValueError,
            "executor must be one of 'threads', 'sync', 'processes', not 'magic'",
        ),
        ({"workers": 3}, TypeError, "workers must be a name or a list of names, not 3"),
        ({"allow_other_workers": 1}, TypeError, "allow_other_workers must be True or False, not 1"),
    ],
)
def test_bad_values(annotations, error, message) -> None:
    with pytest.raises(error, match=message):
        annotate(**annotations)


def test_good_values() -> None:
    import numpy as np

    resources = {"GPU": 1, "memory": 1.5}
    with annotate(
        priority=np.int64(3),
        resources=resources,
        workers="alice",
        allow_other_workers=True,
        executor="processes",
        other=[1],
    ):
        resources["GPU"] = 5
        found = get_annotations()
    assert found == {
        "priority": 3,
        "resources": {"GPU": 1, "memory": 1.5},
        "workers": ("alice",),
        "allow_other_workers": True,
        "executor": "processes",
        "other": [1],
    }
    assert type(found["priority"]) is int
    with annotate(workers={"b", "a"}):
        assert get_annotations() == {"workers": ("a", "b")}
