"""Edges of NumPy's functions: empty arrays, odd arguments, numbers beyond a dtype. Each form must do what NumPy does."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pantile
import pantile.array as da
import pytest

from tests.python.helpers import check, same_error

Form = Callable[[Any, Any], Any]
"""Takes the module, and what makes an array of it."""

FORMS: dict[str, Form] = {
    "choice of nothing": lambda m, _: m.random.default_rng(0).choice([], size=0),
    "choice of nothing, shaped": lambda m, _: m.random.default_rng(0).choice([], size=(0, 3)),
    "choice of no strings' lengths": lambda m, _: m.random.default_rng(0).choice(0, size=0),
    "negative power of nothing": lambda m, a: a(np.array([], int)) ** -1,
    "negative power of a matrix of nothing": lambda m, a: m.power(a(np.ones((2, 0), "i2")), -3),
    "square of booleans": lambda m, a: a([True, False]) ** 2,
    "power of booleans": lambda m, a: m.power(a([True, False]), 2),
    "cube of booleans": lambda m, a: a([True, False]) ** 3,
    "clip above nothing": lambda m, a: a(np.array([1, 5], "u1")).clip(-1, 2),
    "clip within more than all": lambda m, a: m.clip(a(np.array([1, 5], "u1")), -1, 300),
    "clip from below": lambda m, a: m.clip(a(np.array([1, 5], "i1")), -1000, None),
    "clip from above": lambda m, a: m.clip(a(np.array([1, 5], "i8")), None, 2**70),
    "range of days": lambda m, _: m.arange(np.datetime64("2020-01-01"), np.datetime64("2020-01-04")),
    "range of every second day": lambda m, _: m.arange(
        np.datetime64("2020-01-01"), np.datetime64("2020-01-08"), 2
    ),
    "range of durations": lambda m, _: m.arange(np.timedelta64(3, "s")),
    "complex range": lambda m, _: m.arange(1 + 1j, 3),
    "complex range to": lambda m, _: m.arange(3 + 2j),
    "imaginary step": lambda m, _: m.arange(0, 3, 1j),
    "trace of a stack": lambda m, a: m.trace(a(np.arange(24).reshape(2, 3, 4))),
    "trace of other axes": lambda m, a: a(np.arange(24).reshape(2, 3, 4)).trace(1, 2, 1),
    "trace in a dtype": lambda m, a: m.trace(a(np.arange(4).reshape(2, 2)), dtype="f4"),
    "trace of the last axes": lambda m, a: m.linalg.trace(a(np.arange(24).reshape(2, 3, 4)), offset=-1),
    "diagonal of a stack": lambda m, a: m.diagonal(a(np.arange(24).reshape(2, 3, 4)), 1, 0, 2),
    "diagonal of last axes": lambda m, a: a(np.arange(24).reshape(2, 3, 4)).diagonal(0, -1, -2),
    "linspace from a list": lambda m, _: m.linspace(np.array([0, 1]), 2, 3),
    "linspace to a list": lambda m, _: m.linspace(0, [2, 4], 3, axis=1),
    "linspace without end": lambda m, _: m.linspace([[0.5], [1]], [2, 1], 4, endpoint=False),
    "linspace of integers": lambda m, _: m.linspace([0, -5], [2, 7], 6, dtype="i4"),
    "linspace of one": lambda m, _: m.linspace([0, -5], [2, 7], 1),
    "linspace of none": lambda m, _: m.linspace([0, -5], [2, 7], 0),
    "equal to None": lambda m, a: a([1, 2]) == None,  # noqa: E711
    "unequal to None": lambda m, a: a([[1.0], [np.nan]]) != None,  # noqa: E711
    "equal to text": lambda m, a: a([True, False]) == "a",
    "unequal to bytes": lambda m, a: a(np.array([1, 2], "m8[s]")) != b"a",
    "tensordot over fewer than no axes": lambda m, a: m.tensordot(
        a(np.ones((2, 2))), a(np.ones((2, 2))), axes=-1
    ),
    "matvec": lambda m, a: m.matvec(a(np.arange(12).reshape(2, 3, 2)), a(np.array([1, 10]))),
    "vecmat": lambda m, a: m.vecmat(a(np.array([1j, 10])), a(np.arange(12.0).reshape(3, 2, 2))),
    "vecdot": lambda m, a: m.vecdot(a(np.array([1j, 10])), a(np.arange(6.0).reshape(3, 2))),
    "vecdot along": lambda m, a: m.linalg.vecdot(a(np.ones((3, 2))), a(np.arange(6.0).reshape(3, 2)), axis=0),
    "vecdot of nothing": lambda m, a: m.vecdot(a(np.ones((3, 0))), a(np.ones(0))),
}


@pytest.mark.parametrize("name", FORMS)
def test_as_numpy(name: str) -> None:
    form = FORMS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = form(np, np.asarray)
    for chunks in (1, 2, -1):
        check(form(da, lambda x, chunks=chunks: da.from_array(np.asarray(x), chunks=chunks)), expected)


def test_linspace_gives_its_step() -> None:
    numbers, step = da.linspace(0, [2, 4], 3, retstep=True)
    expected, expected_step = np.linspace(0, [2, 4], 3, retstep=True)
    check(numbers, expected)
    check(step, expected_step)
    assert da.linspace(np.zeros(5), 1, 7, chunks=(3, 2)).chunks == ((3, 3, 1), (2, 2, 1))


ERRORS: dict[str, Form] = {
    "tensordot over more axes than there are": lambda m, a: m.tensordot(
        a(np.ones((2, 2))), a(np.ones((2, 2))), 3
    ),
    "clip outside": lambda m, a: m.clip(a(np.array([1, 5], "u1")), 300, 400),
    "negative power": lambda m, a: a(np.array([1, 5])) ** -1,
    "fractional size": lambda m, _: m.random.default_rng(0).normal(size=2.5),
    "fractional shape": lambda m, _: m.ones(2.5),
    "65 axes": lambda m, _: m.ones((1,) * 65),
    "reshape to 65 axes": lambda m, a: a(np.ones(2)).reshape((1,) * 64 + (2,)),
    "a 65th axis": lambda m, a: m.expand_dims(a(np.ones((1,) * 64)), 0),
    "a 65th axis by index": lambda m, a: a(np.ones((1,) * 64))[None],
    "diagonal of one axis twice": lambda m, a: m.diagonal(a(np.ones((2, 2, 2))), 0, 1, 1),
    "matvec of a vector": lambda m, a: m.matvec(a(np.ones(2)), a(np.ones(2))),
    "vecdot of a number": lambda m, a: m.vecdot(a(1.0), a(np.ones(2))),
    "vecdot of other lengths": lambda m, a: m.vecdot(a(np.ones(3)), a(np.ones(2))),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_as_numpy(name: str) -> None:
    form = ERRORS[name]
    same_error(lambda: form(da, da.from_array), lambda: form(np, np.asarray))


@pytest.mark.parametrize(
    ("chunks", "error", "text"),
    [
        ({"a": 3}, TypeError, "axis numbers as keys, not 'a'"),
        (True, TypeError, "chunks along axis 0 are True"),
        ((2, np.True_), TypeError, "chunks along axis 1 are"),
        ("0B", ValueError, "chunks along axis 0 are '0B'"),
        (2.5, TypeError, "chunks along axis 0 are 2.5"),
    ],
    ids=str,
)
def test_chunks_that_are_none(chunks: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        da.ones((4, 4), chunks=chunks)


def test_messages_about_arguments() -> None:
    with pytest.raises(TypeError, match=r"expected a sequence of integers or a single integer, got 2\.5"):
        da.random.default_rng(0).normal(size=2.5)
    with pytest.raises(pantile.UnsupportedError, match="lazy"):
        da.linspace(da.ones(2), 3)


def test_unknown_lengths_have_one_spelling() -> None:
    x = da.arange(10, chunks=5)
    some = x[x > 3]
    assert some.shape == (None,)
    with pytest.raises(ValueError, match=r"shape \(None,\)|compute_chunk_sizes") as caught:
        some.reshape((2, -1))
    assert "nan" not in str(caught.value)
    with pytest.raises(ValueError, match=r"\(None,\)") as caught:
        da.broadcast_to(some, (3, 4))
    assert "nan" not in str(caught.value)
