"""How a bag and an item look in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantile.bag.core import Bag, Item

__all__ = ["bag_html", "item_html"]


def bag_html(bag: Bag) -> str:
    """A small table: what the bag is, how many partitions it has, and the steps that will be run."""
    steps: list[str] = []
    stage = bag._stage
    while stage.parent is not None and stage.step is not None:
        steps.append(stage.step.label)
        stage = stage.parent
    rows = [("Partitions", str(bag.npartitions)), ("From", stage.label)]
    if steps:
        rows.append(("Steps", " → ".join(reversed(steps))))
    return _table("pantile.bag", rows)


def item_html(item: Item) -> str:
    """A small table: what the item is, and how many tasks give it."""
    from pantile import _native

    return _table(
        "pantile.bag.Item",
        [("Value", item.name), ("Calls", str(len(_native.delayed_graph([item.to_delayed()]))))],
    )


def _table(caption: str, rows: list[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th style="text-align: left">{escape(name)}</th><td style="text-align: left">{escape(text)}</td></tr>'
        for name, text in rows
    )
    return f"<table><caption>{caption}</caption><tbody>{cells}</tbody></table>"
