"""Layered drawings of directed graphs: which row and which place in it each node gets.

Rows are longest paths from the sources. Edges that cross several rows get a point in each, so that they can be kept out of the
way. The order inside rows is improved by barycentres, swept down and up; places then move towards their neighbours without
overlapping. That is the method of K. Sugiyama, S. Tagawa and M. Toda (1981) at its simplest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

SWEEPS = 8


@dataclass
class Layout:
    """Where everything is, in units of a node's place and of a row."""

    x: list[float]
    row: list[int]
    rows: int
    width: float
    # For each edge (from, to) the points between its ends: (x, row).
    bends: dict[tuple[int, int], list[tuple[float, int]]] = field(default_factory=dict)


def rows_of(inputs: Sequence[Sequence[int]]) -> list[int]:
    """The longest path from a source to each node. Inputs have lower numbers than their users, or any order without cycles."""
    rows = [-1] * len(inputs)
    for start in range(len(inputs)):
        stack = [start]
        while stack:
            node = stack[-1]
            if rows[node] >= 0:
                stack.pop()
                continue
            waiting = [i for i in inputs[node] if rows[i] < 0]
            if waiting:
                stack.extend(waiting)
            else:
                rows[node] = max((rows[i] + 1 for i in inputs[node]), default=0)
                stack.pop()
    # A source stands just above its first user, not at the top of a long picture.
    users: list[int] = [len(inputs)] * len(inputs)
    for node, ins in enumerate(inputs):
        for i in ins:
            users[i] = min(users[i], rows[node])
    for node, ins in enumerate(inputs):
        if not ins and users[node] < len(inputs):
            rows[node] = max(rows[node], users[node] - 1)
    return rows


def lay_out(inputs: Sequence[Sequence[int]]) -> Layout:
    """Rows and places of nodes whose inputs are given."""
    count = len(inputs)
    rows = rows_of(inputs)
    height = max(rows, default=-1) + 1
    above: list[list[int]] = [[] for _ in range(count)]
    chains: dict[tuple[int, int], list[int]] = {}
    row_of = list(rows)
    for node, ins in enumerate(inputs):
        for i in dict.fromkeys(ins):
            last = i
            chain = []
            for between in range(rows[i] + 1, rows[node]):
                row_of.append(between)
                above.append([last])
                last = len(row_of) - 1
                chain.append(last)
            chains[i, node] = chain
            above[node].append(last)
    below: list[list[int]] = [[] for _ in row_of]
    for node, ups in enumerate(above):
        for i in ups:
            below[i].append(node)
    order: list[list[int]] = [[] for _ in range(height)]
    for node, row in enumerate(row_of):
        order[row].append(node)
    place = [0.0] * len(row_of)
    for members in order:
        for k, node in enumerate(members):
            place[node] = k
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for members in order if down else order[::-1]:
            near = above if down else below
            weight = {
                n: sum(place[m] for m in near[n]) / len(near[n]) if near[n] else place[n] for n in members
            }
            members.sort(key=lambda n: (weight[n], place[n]))
            for k, node in enumerate(members):
                place[node] = k
    widest = max((len(m) for m in order), default=1)
    x = [0.0] * len(row_of)
    for members in order:
        for k, node in enumerate(members):
            x[node] = k + (widest - len(members)) / 2
    for sweep in range(SWEEPS):
        for members in order if sweep % 2 == 0 else order[::-1]:
            wish = []
            for node in members:
                around = above[node] + below[node]
                wish.append(sum(x[m] for m in around) / len(around) if around else x[node])
            for node, put in zip(members, _apart(wish), strict=True):
                x[node] = put
    left = min(x, default=0.0)
    x = [v - left for v in x]
    bends = {edge: [(x[p], row_of[p]) for p in chain] for edge, chain in chains.items()}
    return Layout(x[:count], rows, height, max(x, default=0.0) + 1, bends)


def _apart(wish: list[float]) -> list[float]:
    """Places at least one apart in the same order, each group centred on what its members wish."""
    groups: list[tuple[float, int]] = []
    for want in wish:
        # A group is the mean of its members' wishes, less their places in the group.
        mean, size = want, 1
        while groups and groups[-1][0] + groups[-1][1] > mean:
            before, n = groups.pop()
            # Members of the later group are n places further on.
            mean = (before * n + (mean - n) * size) / (n + size)
            size += n
        groups.append((mean, size))
    return [mean + k for mean, size in groups for k in range(size)]
