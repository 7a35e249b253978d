"""`explain`: what computing will do, said beforehand."""

from __future__ import annotations

import os
from html import escape
from typing import Any

from pantile import _native, _run
from pantile.config import format_bytes

__all__ = ["Explanation", "explain"]


class Explanation:
    """A plan: layers of tasks, native or Python, the bytes they make, the estimated peak.

    Printed it is a table; its ``details`` are the numbers as a dictionary, with the names of the expressions that run Python.
    """

    def __init__(self, details: dict[str, Any]) -> None:
        self.details = details

    @property
    def is_native(self) -> bool:
        """Whether no layer needs Python."""
        return not self.details["python"]

    def _summary(self) -> list[str]:
        d = self.details
        limit = d["limit"]
        room = "no limit" if limit is None else f"limit {format_bytes(limit)}"
        lines = [
            f"{d['tasks']} tasks in {len(d['layers'])} layers, {d['edges']} edges",
            f"sources: {format_bytes(d['inputs_bytes'])}; estimated peak {format_bytes(d['peak_bytes'])}, {room}",
            "everything is native"
            if self.is_native
            else f"runs Python under the GIL: {', '.join(dict.fromkeys(d['python']))}",
        ]
        if limit is not None and d["peak_bytes"] > limit:
            lines.append("the estimated peak exceeds the limit: blocks will wait, or be spilled to files")
        return lines

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for layer in self.details["layers"]:
            origin = layer["origin"]
            where = f"{os.path.basename(origin[0])}:{origin[1]}" if origin else ""
            note = " ".join(str(layer["describe"] or "").split())
            rows.append(
                (
                    str(layer["label"]),
                    str(layer["tasks"]),
                    format_bytes(layer["bytes"]),
                    "Python" if layer["python"] else "native",
                    where,
                    note if len(note) <= 100 else note[:97] + "...",
                )
            )
        return rows

    _HEAD = ("layer", "tasks", "bytes", "runs", "made at", "what")

    def __repr__(self) -> str:
        rows = [self._HEAD, *self._rows()]
        widths = [max(len(r[k]) for r in rows) for k in range(len(self._HEAD))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip() for r in rows]
        sources = [f"reads {s}" for s in self.details["sources"]]
        return "\n".join([*self._summary(), *sources, "", *lines])

    def table_html(self) -> str:
        """The layers as a table in HTML."""
        head = "".join(f"<th>{h}</th>" for h in self._HEAD)
        body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in r) + "</tr>" for r in self._rows())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _repr_html_(self) -> str:
        summary = "".join(f"<li>{escape(line)}</li>" for line in self._summary())
        return f"<ul>{summary}</ul>{self.table_html()}"


def explain(*args: Any) -> Explanation:
    """What computing arrays will do: layers, tasks, bytes, estimated peak memory, and which parts run Python.

    Parameters
    ----------
    *args : Array
        The arrays, computed together.

    Returns
    -------
    Explanation
        Prints itself.

    Examples
    --------
    >>> import pantile
    >>> import pantile.array as da
    >>> plan = pantile.explain((da.ones((4, 4), chunks=2) + 1).sum())
    >>> plan.is_native
    True
    """
    from pantile.array.core import Array

    if not args or not all(isinstance(a, Array) for a in args):
        raise TypeError("explain takes one or more pantile arrays")
    exprs = [a._expr for a in args]
    details = _native.explain(exprs, _run.options())
    # A source that is fused into a kernel has no layer of its own, so the expressions are asked.
    details["python"] = [row["label"] for row in _native.expressions(exprs) if row["python"]]
    return Explanation(details)
