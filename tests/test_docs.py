"""Every ``python`` block of the documentation runs, so that no example can rot.

The blocks of one file share one namespace, from top to bottom, as a reader would type them, in an empty folder. A block
marked with another language (``text``, ``sh``, ``toml``) is not run.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^( *)(`{3,})(.*)$")


def python_blocks(text: str) -> list[tuple[int, str]]:
    """The line number of each python block's first line, and the block's code without its indentation."""
    blocks: list[tuple[int, str]] = []
    fence, language, indent, first = "", "", 0, 0
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = FENCE.match(line)
        if fence:
            if match and match[2].startswith(fence) and not match[3].strip():
                if language == "python":
                    blocks.append((first, "\n".join(lines)))
                fence = ""
            else:
                lines.append(line[indent:] if not line[:indent].strip() else line)
        elif match:
            indent, fence, language = len(match[1]), match[2], match[3].strip().split(" ")[0]
            first, lines = number + 1, []
    assert not fence, f"the block that begins in line {first - 1} has no end"
    return blocks


def documents() -> list[Path]:
    """The files whose examples run."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")]
    return [path for path in top if path.exists()] + sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for first, code in python_blocks(path.read_text()):
        # Empty lines in front make the traceback name the document's own line.
        exec(compile("\n" * (first - 1) + code, str(path), "exec"), namespace)


def test_only_python_blocks_are_found() -> None:
    text = (
        "a\n```python\nx = 1\n```\n```text\nnot python\n```\n- b\n  ```python\n  if x:\n      y = 2\n  ```\n"
    )
    assert python_blocks(text) == [(3, "x = 1"), (10, "if x:\n    y = 2")]


def test_longer_fence_holds_a_shorter_one() -> None:
    assert python_blocks("````text\n```python\nbroken(\n```\n````\n") == []


def test_block_without_end_is_refused() -> None:
    with pytest.raises(AssertionError, match="line 2 has no end"):
        python_blocks("a\n```python\nx = 1\n")


def test_readme_has_an_example() -> None:
    assert python_blocks((ROOT / "README.md").read_text())
