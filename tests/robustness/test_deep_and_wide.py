"""Long chains, wide joins and many outputs: no recursion limit, no overflowing stack, and tasks in proportion.

That lowering and ordering are linear is counted in visits, in the tests of the crates.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import numpy as np
import pantile
import pantile.array as da
import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

DEEP = """
    import threading
    import numpy as np
    import pantile.array as da
    count = 20_000
    def work():
        x = y = da.ones(10, chunks=5)
        for k in range(count):
            y = {step}
        result = y.{finish}
        assert np.allclose(result, {expected}), result
        del x, y
        print("done")
    {how}
"""
CHAINS = {
    "additions": ("y + 1", "sum().compute()", "10 * (count + 1)"),
    "two arrays": ("y + x", "compute()", "count + 1"),
    "twice itself": ("(y + y) / 2", "max().compute()", "1"),
    "negations": ("-y", "min().compute()", "1"),
    "functions": (
        "da.map_blocks(lambda b: b + 1, y, dtype=float) if k % 40 == 0 else y + 0",
        "sum().compute()",
        "10 * (count // 40 + 1)",
    ),
    "reductions": ("y - y.mean() if k % 40 == 0 else y", "sum().compute()", "0"),
    "slices": ("y[::-1]", "sum().compute()", "10"),
    "assignments": ("y.rechunk(5 if k % 2 else 3) if k % 40 == 0 else y * 1", "sum().compute()", "10"),
}
HOW = {
    "main thread": "work()",
    # A thread of 512 KiB, as other programs and systems give them.
    "small stack": "threading.stack_size(1 << 19); t = threading.Thread(target=work); t.start(); t.join()",
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("chain", CHAINS)
def test_deep_chains(chain: str, how: str, script: Script) -> None:
    step, finish, expected = CHAINS[chain]
    done = script(DEEP.format(step=step, finish=finish, expected=expected, how=HOW[how]), timeout_s=90)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "done\n"


DESCRIBED = """
    import pantile, pantile.array as da
    y = da.ones(10, chunks=5)
    for _ in range(5000):
        y = y + 1
    assert repr(y) == "pantile.Array<add, shape=(10,), dtype=float64, chunksize=(5,)>", repr(y)
    text = str(y.explain())
    layers = [line for line in text.splitlines() if line.startswith("add ")]
    assert 1 <= len(layers) <= 100, text
    assert all(len(line) < 200 for line in layers), text
    assert y.persist().sum().compute() == 50_010
    print("done")
"""


def test_deep_chains_can_be_described(script: Script) -> None:
    done = script(DESCRIBED)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "done\n"


@pytest.mark.parametrize("axis", [0, 1])
def test_wide_concatenation(axis: int) -> None:
    parts = [da.full((3, 3), k, chunks=2, dtype=float) for k in range(2000)]
    whole = da.concatenate(parts, axis=axis)
    # A part has four blocks, each of which is made, passed on, and folded with its neighbours.
    assert whole.sum().explain().details["tasks"] <= 9 * len(parts)
    assert whole.shape[axis] == 6000
    assert whole.sum().compute() == 9 * 1999 * 1000
    result = whole.compute()
    assert result.take(5999, axis).min() == 1999


def test_wide_stack_and_sum() -> None:
    rows = [np.arange(4.0) + k for k in range(2000)]
    stacked = da.stack([da.from_array(row) for row in rows])
    assert stacked.max(axis=0).explain().details["tasks"] == len(rows) + 1
    np.testing.assert_array_equal(stacked.max(axis=0).compute(), rows[-1])
    total = sum(da.from_array(row) for row in rows)
    np.testing.assert_allclose(total.compute(), np.sum(rows, axis=0))


def test_many_outputs_of_one_run() -> None:
    x = da.arange(1000, chunks=100)
    sums = [(x + k).sum() for k in range(1000)]
    # The blocks are so small that one task folds the ten of a sum.
    assert pantile.explain(*sums).details["tasks"] == 1000
    results = pantile.compute(*sums)
    assert [int(r) for r in results] == [499500 + 1000 * k for k in range(1000)]


def test_many_blocks() -> None:
    total = (da.ones(200_000, chunks=2) + 1).sum()
    # A task folds a run of blocks; a task a block would cost more than its work.
    assert total.explain().details["tasks"] <= 200
    assert total.compute() == 400_000


def test_an_expression_used_twice_at_every_step_is_computed_once() -> None:
    """Sixty doublings would be 2⁶⁰ evaluations."""
    y = da.ones(4, chunks=2)
    for _ in range(60):
        y = y + y
    np.testing.assert_array_equal(y.compute(), np.full(4, 2.0**60))
