"""Every path that ARCHITECTURE.md and CONTRIBUTING.md name exists, crates use what the table says, links lead somewhere.

A path is what stands in backticks and has a slash or a file's ending. These texts shorten paths (``lower.rs``,
``array/src/lower.rs``), so a path is right if some file's or folder's path ends with it. Blocks of code are not looked at.
"""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOPS = (
    ".ci",
    "benchmarks",
    "crates",
    "demo",
    "docs",
    "examples",
    "python",
    "requirements",
    "scripts",
    "tests",
)
BLOCK = re.compile(r"^ *(`{3,}).*?^ *\1", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
PATH = re.compile(
    r"[\w.*-]*(/[\w.*-]+)*(/|\.(graph|ir|json|md|py|pyi|rs|sh|toml|txt|yaml))|[\w.*-]+(/[\w.*-]+)+"
)


def paths_in(text: str) -> list[str]:
    """What looks like a path, once each."""
    return sorted({code for code in CODE.findall(BLOCK.sub("", text)) if PATH.fullmatch(code)})


def everything() -> list[str]:
    """The paths of all files and folders, with a slash before each."""
    found = [path for top in TOPS for path in [ROOT / top, *(ROOT / top).rglob("*")] if path.exists()]
    return [f"/{path.relative_to(ROOT).as_posix()}" for path in [*found, *ROOT.glob("*.*")]]


def missing(text: str) -> list[str]:
    """The paths in a text that are not there. ``*`` and ``NAME`` stand for any name."""
    there = everything()

    def exists(path: str) -> bool:
        pattern = "*/" + path.rstrip("/").replace("NAME", "*")
        return any(fnmatchcase(candidate, pattern) for candidate in there)

    return [path for path in paths_in(text) if not exists(path)]


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_paths_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    assert len(paths_in(text)) > 20
    assert missing(text) == []


def test_what_a_path_is() -> None:
    text = "`lower.rs` `array/src/` `crates/*/tests` `.ci/run` `x.T` `make test` `a::b` `1/x` `_run.run`\n"
    text += "```\n`in/code.rs`\n```\n"
    assert paths_in(text) == [".ci/run", "1/x", "array/src/", "crates/*/tests", "lower.rs"]


def test_what_is_not_there_is_found() -> None:
    text = "`array/src/lower.rs` `src/nowhere.rs` `wer.rs` `benchmarks/cases/NAME.py` `crates/nowhere/` `crates/*/tests`"
    assert missing(text) == ["crates/nowhere/", "src/nowhere.rs", "wer.rs"]


def test_the_table_of_uses_is_that_of_the_manifests() -> None:
    table = (ROOT / "ARCHITECTURE.md").read_text().split("| crate | uses |\n|---|---|\n")[1].split("\n\n")[0]
    said: dict[str, set[str]] = {}
    for row in table.splitlines():
        crate, uses = row.strip("| ").split(" | ")
        said[crate.strip("`")] = set(said) if uses == "all" else set(CODE.findall(uses))
        assert said[crate.strip("`")] <= set(said), f"{crate} uses a crate that the table has below it"
    used: dict[str, set[str]] = {}
    for manifest in (ROOT / "crates").glob("*/Cargo.toml"):
        dependencies = tomllib.loads(manifest.read_text()).get("dependencies", {})
        own = {name.removeprefix("pantile-") for name in dependencies if name.startswith("pantile-")}
        used[manifest.parent.name] = own
    assert said == used


def anchors(text: str) -> set[str]:
    """The names that headings have in links, by GitHub's rules."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(page: Path) -> list[str]:
    """The links of a page to files of the repository, and to headings in them, that are not there."""
    dead = []
    for path, heading in LINK.findall(CODE.sub("", BLOCK.sub("", page.read_text()))):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (heading and heading not in anchors(target.read_text())):
            dead.append(f"{path}#{heading}" if heading else path)
    return dead


@pytest.mark.parametrize(
    "page",
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("requirements/*.md")],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A title, with `code`\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other.md#a-title-with-code) [b](#here) [c](gone.md) [d](other.md#gone) `[e](f)`\n"
    )
    assert dead_links(page) == ["gone.md", "other.md#gone"]
