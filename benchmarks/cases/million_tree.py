"""A tree of a million calls: half a million that make a number, and half a million that add two.

Building the tree and running it are timed together, and its memory counts. The peer is the same calls in plain Python, which
keeps a level of numbers where the tree keeps all its nodes. Dask is not here: its time for many calls grows with the
square of their number (see ``inc_sum`` and ``inc_chain``), which at this size would be about a day.
"""

from ..case import Bytes, Case, Seconds
from .inc_sum import inc

CASE = Case(
    name="million_tree",
    title="tree of a million calls",
    limits=(Seconds(6.0), Bytes(10**9)),
    full={"leaves": 2**19},
    quick={"leaves": 2**7},
    group="Functions and bags",
    rtol=0.0,
    expected=[1.0],
)


def add(x, y):
    """The sum of two."""
    return x + y


def right(p):
    """The number that must come out; answers are given as its multiples."""
    return p["leaves"] * (p["leaves"] + 1) // 2


def tree(leaf, join, p):
    """The root of the tree: ``leaves`` calls of ``leaf``, and one fewer of ``join``."""
    level = [leaf(i) for i in range(p["leaves"])]
    while len(level) > 1:
        level = [join(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


@CASE.variant("pantile")
def _pantile(p):
    from pantile import delayed

    return lambda: tree(delayed(inc), delayed(add), p).compute() / right(p)


@CASE.variant("python")
def _python(p):
    return lambda: tree(inc, add, p) / right(p)
