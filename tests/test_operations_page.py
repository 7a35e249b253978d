"""The documentation's table of operations is what the catalogue says."""

from __future__ import annotations

import runpy
from pathlib import Path

from pantile import _native

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "operations.py"))
PAGE = "docs/reference/operations.md"


def test_page_is_current() -> None:
    written = (ROOT / PAGE).read_text()
    assert written == SCRIPT["page"](_native.operations_table()), (
        f"the catalogue has changed: run python scripts/operations.py {PAGE}"
    )


def test_every_operation_has_a_row() -> None:
    written = (ROOT / PAGE).read_text()
    for row in _native.operations():
        assert f"\n| `{row['name']}`" in written


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "operations.md"
    SCRIPT["main"](target)
    first = target.read_text()
    assert first.startswith("# Operations\n")
    assert "\n## Reductions\n" in first
    stamp = target.stat().st_mtime_ns
    SCRIPT["main"](target)
    assert target.read_text() == first
    assert target.stat().st_mtime_ns == stamp
