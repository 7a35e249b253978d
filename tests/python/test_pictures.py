"""Pictures of delayed calls, and what notebooks show of collections."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pantile
import pantile.array as da
import pantile.bag as db
import pytest
from pantile import delayed


def inc(x):
    return x + 1


def double(x):
    return 2 * x


def boxes(picture):
    """Titles of the boxes, from the SVG."""
    root = ET.fromstring(picture.svg())
    return [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]


def fills(picture):
    return re.findall(r'fill="(#[0-9a-f]{6})" stroke', picture.svg())


def total():
    return delayed(sum)([delayed(inc)(1), delayed(double)(delayed(inc)(2))])


def test_each_call_is_a_box_with_the_line_that_built_it():
    picture = total().visualize()
    titles = boxes(picture)
    assert sorted(t.split()[0] for t in titles) == ["double", "inc", "inc", "sum"]
    assert all(__file__ in t for t in titles)
    assert picture.svg().count("<polyline") == 3
    # One colour a function.
    assert len(set(fills(picture))) == 3


def test_values_arrays_and_bags_are_boxes():
    call = delayed(lambda *a: 0)(delayed(5), da.ones(4).sum(), db.from_sequence([1, 2], npartitions=2))
    titles = boxes(pantile.visualize(call, [db.from_sequence([1]).sum()]))
    assert "int (value)" in " ".join(titles)
    assert any(t.startswith("Array") for t in titles)
    assert len(boxes(db.from_sequence([1, 2], npartitions=2).visualize())) >= 3


def test_equal_pure_calls_are_drawn_once():
    pure = delayed(inc, pure=True)
    assert len(delayed(sum)([pure(1), pure(1), pure(2)]).visualize()) == 3


@pytest.mark.parametrize("color", ["layer", "order", "time", "memory"])
@pytest.mark.parametrize("maximum", [300, 3])
def test_colours(color, maximum):
    picture = total().visualize(color=color, maximum=maximum)
    told = {"layer": "inc", "order": "rank", "time": " ms", "memory": " B"}[color]
    assert any(told in t for t in boxes(picture))


def test_order_and_measures_are_those_of_a_run():
    ran = []

    def make(n):
        ran.append(n)
        return bytes(n)

    parts = [delayed(make)(n) for n in (10, 100_000)]
    picture = delayed(len)(parts).visualize(color="memory")
    assert sorted(ran) == [10, 100_000]
    assert any("97.7 KiB" in t for t in boxes(picture))
    assert len(set(fills(picture))) >= 2
    ran.clear()
    ordered = delayed(len)(parts).visualize(color="order")
    assert ran == []
    assert sorted(t.split("rank ")[1] for t in boxes(ordered)) == ["0", "1", "2"]


@pytest.mark.parametrize("rankdir", ["TB", "BT", "LR", "RL"])
def test_directions(rankdir):
    call = delayed(double)(delayed(inc)(1))
    picture = call.visualize(rankdir=rankdir)
    corners = re.findall(r"<title>(\w+).*?<rect x=\"([\d.]+)\" y=\"([\d.]+)\"", picture.svg())
    place = {name: (float(x), float(y)) for name, x, y in corners}
    (x1, y1), (x2, y2) = place["inc"], place["double"]
    way = ((x2 > x1) - (x2 < x1), (y2 > y1) - (y2 < y1))
    assert way == {"TB": (0, 1), "BT": (0, -1), "LR": (1, 0), "RL": (-1, 0)}[rankdir]
    start, end = re.search(r'points="(\S+) (\S+)"', picture.svg()).groups()
    assert start != end
    assert picture.png().startswith(b"\x89PNG")


def test_files(tmp_path):
    node = total()
    node.visualize(str(tmp_path / "a.svg"))
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<svg")
    node.visualize(filename=tmp_path / "b.html")
    assert b"<svg" in (tmp_path / "b.html").read_bytes()
    node.visualize(filename=tmp_path / "c")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    node.visualize(filename=tmp_path / "d", format="svg")
    assert (tmp_path / "d.svg").exists()
    with pytest.raises(ValueError, match="pdf"):
        node.visualize(filename=tmp_path / "e.pdf")
    for wrong in ({"color": "red"}, {"rankdir": "XY"}, {"maximum": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            node.visualize(**wrong)
    with pytest.raises(TypeError, match="filename"):
        node.visualize("a", "b")


def chain(n):
    x = delayed(inc)(0)
    for _ in range(n - 1):
        x = delayed(inc)(x)
    return x


def alternating(n):
    x = delayed(inc)(0)
    for _ in range(n // 2):
        x = delayed(inc)(delayed(double)(x))
    return x


def tree(n):
    row = [delayed(inc)(i) for i in range(n)]
    while len(row) > 1:
        row = [delayed(max)(row[k : k + 2]) for k in range(0, len(row), 2)]
    return row[0]


def many_names(n):
    return delayed(sum)([delayed(inc, name=f"f{i}")(i) for i in range(n)])


@pytest.mark.parametrize("make", [chain, alternating, tree, many_names])
def test_large_graphs_become_few_boxes_that_stand_for_all_calls(make):
    node = make(5000)
    graph = pantile._native.delayed_graph([node])
    for most in (1, 2, 17, 100):
        made, of = graph.groups(most)
        assert 1 <= len(made) <= most
        assert sum(n for counts, _ in made for _, n in counts) == len(graph)
        assert all(i < len(made) and i != k for k, (_, inputs) in enumerate(made) for i in inputs)
        assert len(of) == len(graph)
    picture = node.visualize(maximum=20)
    assert len(picture) <= 20
    assert "more than 20" in picture.note


def test_groups_say_what_they_hold():
    made, of = pantile._native.delayed_graph([tree(8)]).groups(4)
    assert made == [([("inc", 8)], []), ([("max", 4)], [0]), ([("max", 2)], [1]), ([("max", 1)], [2])]
    assert of.count(0) == 8
    assert pantile._native.delayed_graph([chain(500)]).groups(300)[0] == [([("inc", 500)], [])]
    # Functions that need each other by turns share a box.
    (one,) = pantile._native.delayed_graph([alternating(10)]).groups(2)[0]
    assert one == ([("inc", 6), ("double", 5)], [])


def test_collections_show_themselves_in_notebooks():
    bag = db.from_sequence([1, 2])
    for collection in (delayed(inc)(1), delayed(5), chain(100), da.ones(3), bag, bag.sum()):
        html = collection._repr_html_()
        assert "<table" in html
        ET.fromstring(f"<div>{html}</div>")
    html = delayed(inc)(1, pantile_key_name="<one>")._repr_html_()
    assert "&lt;one&gt;" in html
    assert "<svg" in html
    assert "<svg" not in chain(100)._repr_html_()
