"""Writes the table of operations: ``python scripts/operations.py docs/reference/operations.md``.

The rows come from the operation catalogue in ``crates/types/src/catalogue``, through the built extension (``make build``).
Nothing in the page is written by hand except the few lines at its top, which are here. ``tests/test_operations_page.py`` fails
when the page is not what this script would write.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

HEAD = """\
# Operations

<!-- Written by scripts/operations.py from the catalogue in crates/types/src/catalogue. Change the rows there. -->

Every elementwise operation that kernels are compiled from, and every reduction, with NumPy's names. What is not in this table
is a composition of these, or runs as a Python function on blocks; [pantile.array](array.md) lists all functions.

- *types*: the kinds of numbers that have a computation of their own. Others are converted first, by NumPy's rules (NEP 50).
  *time* means datetimes or timedeltas.
- *accuracy*: *exact* means NumPy's own bits; *4 ulp* means at most four units in the last place from the true value.
- *without elements*: what a reduction gives for an axis of length zero.
"""


def page(table: str) -> str:
    """The page around a table whose headings are of the third level."""
    return HEAD + "\n" + table.replace("### ", "## ")


def main(target: Path) -> None:
    """Writes the page, if it differs from what is there."""
    sys.path.insert(0, str(ROOT / "python"))
    from pantile import _native

    text = page(_native.operations_table())
    if not target.exists() or target.read_text() != text:
        target.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
