"""Settings, lazy imports, running, progress, pictures, explanations."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from itertools import pairwise

import numpy as np
import pantile
import pantile.array as da
import pytest
from pantile import config
from pantile.diagnostics import ProgressBar

from tests.python.helpers import check


def python(code: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env}
    )


def test_import_loads_nothing() -> None:
    done = python(
        "import sys, pantile; print([m for m in ('numpy', 'pantile._native', 'pantile.array') if m in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "setting"),
    [
        ("PANTILE_NUM_THREADS", "many", "num_threads"),
        ("PANTILE_NUM_THREADS", "0", "num_threads"),
        ("PANTILE_MEMORY_LIMIT", "1 parsec", "memory_limit"),
        ("PANTILE_EXECUTOR", "magic", "executor"),
        ("PANTILE_RETRIES", "-1", "retries"),
        ("PANTILE_ARRAY__CHUNK_SIZE", "0", "array.chunk_size"),
        ("PANTILE_TOKENIZE__ENSURE_DETERMINISTIC", "perhaps", "tokenize.ensure_deterministic"),
    ],
)
def test_bad_environment_is_named(variable, value, setting) -> None:
    done = python(f"from pantile import config; config.get({setting!r})", **{variable: value})
    assert f"ValueError: {variable}: {value!r}" in done.stderr


def test_environment() -> None:
    done = python(
        "from pantile import config; print(config.get('memory_limit'), config.get('num_threads'))",
        PANTILE_MEMORY_LIMIT="1.5GB",
        PANTILE_NUM_THREADS="3",
    )
    assert done.stdout.split() == ["1500000000", "3"]


def test_set_restores() -> None:
    before = config.get("array.chunk_size")
    with config.set({"array.chunk_size": "1MiB"}, executor="sync"):
        assert config.get("array.chunk_size") == 2**20
        assert config.get("executor") == "sync"
        assert da.ones((1000, 1000)).npartitions > 4
        check(da.ones(10, chunks=3).sum(), 10.0)
    assert config.get("array.chunk_size") == before
    with pytest.raises(
        ValueError, match="executor: 'magic' is no executor; choose 'threads', 'sync' or 'processes'"
    ):
        config.set(executor="magic")
    with config.set(executor="processes"):
        assert config.get("executor") == "processes"
    with pytest.raises(KeyError, match="there is no setting 'colour'"):
        config.set(colour="red")
    assert set(config.settings()) == {
        "num_threads",
        "memory_limit",
        "executor",
        "retries",
        "spill_dir",
        "cache_dir",
        "array.chunk_size",
        "delayed_pure",
        "tokenize.ensure_deterministic",
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The only place that settings are read from; afterwards they are as before."""
    for variable in list(os.environ):
        if variable.startswith("PANTILE_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PANTILE_ROOT_CONFIG", str(tmp_path / "etc"))
    monkeypatch.setattr(config, "_values", {})
    place = tmp_path / "chosen"
    place.mkdir()
    monkeypatch.setenv("PANTILE_CONFIG", str(place))
    yield place
    monkeypatch.undo()
    config.refresh()


def test_files(folder, tmp_path, monkeypatch) -> None:
    home = tmp_path / "home" / ".config" / "pantile"
    home.mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "site.yaml").write_text(
        "num-threads: 5\nretries: 5\nmemory_limit: 5GB\nexecutor: sync\n"
    )
    (home / "a.yaml").write_text("num_threads: 6\nretries: 6\nmemory-limit: 6GB\n")
    (home / "b.yml").write_text("num_threads: 7\nretries: 7\n")
    (folder / "c.json").write_text('{"array": {"chunk-size": "2MiB"}, "num_threads": 8}')
    (folder / "empty.yaml").write_text("# nothing\n")
    (folder / "notes.txt").write_text("not: [read")
    monkeypatch.setenv("PANTILE_NUM_THREADS", "9")
    config.refresh()
    names = ("num_threads", "retries", "memory_limit", "executor", "array.chunk_size")
    assert [config.get(name) for name in names] == [9, 7, 6 * 10**9, "sync", 2 << 20]
    assert config.is_set("retries")
    assert not config.is_set("spill_dir")
    # Code wins, and a refresh leaves it.
    with config.set(num_threads=1):
        monkeypatch.delenv("PANTILE_NUM_THREADS")
        config.refresh()
        assert config.get("num_threads") == 1
    assert config.get("num_threads") == 8
    assert config.paths()[0] == str(tmp_path / "etc")
    assert config.paths()[-2:] == [str(home), str(folder)]


def test_one_file(folder, tmp_path, monkeypatch) -> None:
    (tmp_path / "mine.yaml").write_text("array:\n  chunk_size: 1000\n")
    monkeypatch.setenv("PANTILE_CONFIG", str(tmp_path / "mine.yaml"))
    config.refresh()
    assert config.get("array.chunk_size") == 1000
    monkeypatch.setenv("PANTILE_CONFIG", str(tmp_path / "missing.yaml"))
    with pytest.raises(ValueError, match=r"PANTILE_CONFIG names '.*missing.yaml', which does not exist"):
        config.refresh()
    assert config.get("array.chunk_size") == 1000


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "num_threads: many", "a.yaml': num_threads: 'many' is no number of threads"),
        (
            "a.yaml",
            "array:\n  chunksize: 3",
            "a.yaml': there is no setting 'array.chunksize'; did you mean 'array.chunk_size'",
        ),
        ("a.yaml", "colour: red", "a.yaml': there is no setting 'colour'; there are num_threads, "),
        ("a.yaml", "a: [1", "a.yaml' is no valid YAML"),
        ("a.yaml", "- 1", "a.yaml' must hold names and values, not a list"),
        ("a.json", "{", "a.json' is no valid JSON"),
        ("a.yaml", b"\xff\xfe\xfa", "cannot read the settings in '.*a.yaml'"),
    ],
)
def test_bad_files_are_named(folder, name, text, message) -> None:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message):
        config.refresh()


def test_yaml_is_needed_for_yaml_files_only(folder, monkeypatch) -> None:
    code = "import sys; sys.modules['yaml'] = None; from pantile import config; print(config.get('retries'))"
    (folder / "a.json").write_text('{"retries": 3}')
    assert python(code).stdout.strip() == "3"
    (folder / "b.yaml").write_text("retries: 4")
    assert "b.yaml' cannot be read, since PyYAML is not installed" in python(code).stderr
    (folder / "b.yaml").unlink()
    code = "import sys; from pantile import config; config.get('retries'); print('yaml' in sys.modules)"
    assert python(code).stdout.strip() == "False"


def test_variables(folder) -> None:
    found = config.collect(
        [],
        {
            "PANTILE_ARRAY__CHUNK_SIZE": "4194304",
            "PANTILE_NUM_THREADS": " 007",
            "PANTILE_RETRIES": "0x10",
            "PANTILE_TOKENIZE__ENSURE_DETERMINISTIC": "true",
            "PANTILE_MEMORY_LIMIT": "'3 GB'",
            "PANTILE_CACHE_DIR": "None",
            "PANTILE_SPILL_DIR": "",
            "PANTILE_SOMETHING_ELSE": "1",
            "OTHER": "1",
        },
    )
    assert found == {
        "array.chunk_size": 4194304,
        "num_threads": 7,
        "retries": 16,
        "tokenize.ensure_deterministic": True,
        "memory_limit": 3 * 10**9,
        "cache_dir": None,
    }
    with pytest.raises(ValueError, match="PANTILE_ARRAY_CHUNK_SIZE: did you mean PANTILE_ARRAY__CHUNK_SIZE"):
        config.collect([], {"PANTILE_ARRAY_CHUNK_SIZE": "1"})


def test_spellings() -> None:
    with config.set({"array": {"chunk-size": 1}}):
        assert config.get("array.chunk-size") == config.get("array.chunk_size") == 1
    with config.set(array__chunk_size=2):
        assert config.get("array.chunk_size") == 2
    assert config.get("colour", "red") == "red"
    assert config.get("retries", 5) == 0
    with pytest.raises(KeyError, match=r"did you mean 'array.chunk_size'\?"):
        config.get("chunk_size")
    with pytest.raises(KeyError, match=r"did you mean 'retries'\?"):
        config.set(retry=1)


def test_a_bad_value_changes_nothing() -> None:
    before = config.settings()
    with pytest.raises(ValueError, match="retries: -1 is no number of times"):
        config.set(num_threads=1, retries=-1)
    with pytest.raises(ValueError, match="neither True nor False"):
        config.set(num_threads=1, tokenize__ensure_deterministic="maybe")
    assert config.settings() == before


def test_settings_are_the_processs() -> None:
    import threading

    seen = []
    with config.set(retries=3):
        thread = threading.Thread(target=lambda: seen.append(config.get("retries")))
        thread.start()
        thread.join()
    assert seen == [3]

    def work(n: int) -> None:
        for i in range(300):
            with config.set(retries=n * 1000 + i):
                config.settings()

    # Blocks that do not overlap for one setting put it back exactly, whatever other threads set.
    def other() -> None:
        for i in range(300):
            with config.set(num_threads=i + 1):
                assert config.get("num_threads") == i + 1

    before = config.settings()
    threads = [threading.Thread(target=work, args=(1,)), threading.Thread(target=other)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert config.settings() == before


KERNELS = """
import pantile.array as da
from pantile import _native
x = da.arange(3_000_000, dtype="f8", chunks=1_000_000)
assert float((x * 2 + 1).sum().compute()) == 9e12
stats = _native.kernel_stats()
print(stats["built"], stats["loaded"])
"""


def test_kernels_are_kept_in_cache_dir(tmp_path) -> None:
    folder = str(tmp_path / "kernels" / "of mine")
    built, loaded = map(int, python(KERNELS, PANTILE_CACHE_DIR=folder).stdout.split())
    assert built > 0
    assert loaded == 0
    assert python(KERNELS, PANTILE_CACHE_DIR=folder).stdout.split() == ["0", str(built)]
    again = python(f"from pantile import config; config.set(cache_dir={folder!r})" + KERNELS)
    assert again.stdout.split() == ["0", str(built)]
    without = python(KERNELS, PANTILE_CACHE_DIR="")
    assert without.stdout.split() == [str(built), "0"]


def test_a_cache_dir_that_cannot_be_used(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    done = python(KERNELS, PANTILE_CACHE_DIR=str(tmp_path / "file" / "below"))
    assert "PANTILE_CACHE_DIR: " in done.stderr
    assert "cannot be used as a folder for compiled kernels: Not a directory" in done.stderr
    late = python(
        "import warnings"
        + KERNELS
        + f"from pantile import config; config.set(cache_dir={str(tmp_path)!r})"
        + KERNELS
    )
    assert late.stderr.count("has no effect: kernels were compiled before it was set") == 1


def test_sizes() -> None:
    assert config.parse_bytes("2kb") == 2000
    assert config.parse_bytes(".5 GiB") == 2**29
    for bad in ("", "GB", "1 XB", "-1", -1):
        with pytest.raises(ValueError, match="is no size"):
            config.parse_bytes(bad)
    assert [config.format_bytes(n) for n in (0, 1023, 1024, 10**12)] == [
        "0 B",
        "1023 B",
        "1.00 KiB",
        "931 GiB",
    ]


def test_compute_of_nested_collections() -> None:
    a = da.arange(4)
    result = pantile.compute([a.sum(), {"max": a.max()}], 5, (a,))
    assert result[0][0] == 6
    assert result[0][1] == {"max": 3}
    assert result[1] == 5
    np.testing.assert_array_equal(result[2][0], np.arange(4))
    assert pantile.compute(1, "two") == (1, "two")


def test_persist() -> None:
    calls = []

    def count(b):
        calls.append(1)
        return b

    a = da.ones((4, 4), chunks=2).map_blocks(count, dtype=float).persist()
    check(a.sum(), 16.0)
    check(a + 1, np.full((4, 4), 2.0))
    assert len(calls) == 4


def test_result_larger_than_the_limit_is_refused() -> None:
    with config.set(memory_limit="1MB"), pytest.raises(MemoryError, match="limit"):
        da.ones(10**6).compute()
    with config.set(memory_limit="20MB"):
        check(da.ones(10**7, chunks=10**5).sum(), 1e7)


def test_same_results_on_one_thread() -> None:
    x = np.random.default_rng(0).normal(size=(60, 70))
    a = da.from_array(x, chunks=13)
    y = ((a + a.mean()) @ a.T).std(axis=0)
    with config.set(executor="sync"):
        one = y.compute()
    np.testing.assert_array_equal(one, y.compute())


def test_progress_bar() -> None:
    screen = io.StringIO()
    bar = ProgressBar(out=screen, force=True, dt=0.01)
    with bar:
        da.random.default_rng(0).random((500, 500), chunks=50).sum().compute()
    lines = screen.getvalue().split("\r\033[K")
    assert lines[-1].endswith("in all\n")
    assert "100%" in lines[-1]
    assert bar.last_duration is not None
    quiet = io.StringIO()
    with ProgressBar(out=quiet):
        da.ones(3).compute()
    assert quiet.getvalue() == ""


def test_progress_bar_names_a_failure() -> None:
    def fail(b):
        raise KeyError("no")

    screen = io.StringIO()
    with ProgressBar(out=screen, force=True), pytest.raises(KeyError):
        da.ones(3).map_blocks(fail, dtype=float).compute()
    assert "KeyError after" in screen.getvalue()
    assert "100%" not in screen.getvalue()


def expression() -> da.Array:
    x = da.random.default_rng(0).random((40, 40), chunks=10)
    return (x + x.T).std(axis=0)


def test_explain() -> None:
    plan = pantile.explain(expression())
    assert plan.is_native
    assert plan.details["tasks"] > 1
    text = repr(plan)
    assert "everything is native" in text
    assert "estimated peak" in text
    assert "test_settings.py" in text
    assert "<table>" in plan._repr_html_()
    assert not expression().map_blocks(np.sin).explain().is_native
    with pytest.raises(TypeError, match="takes one or more pantile arrays"):
        pantile.explain(3)


class Slices:
    """An array that only Python can read."""

    shape, dtype, ndim = (4, 4), np.dtype("f8"), 2

    def __getitem__(self, key):
        return np.ones(self.shape)[key]


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x + 1,
        lambda x: (x + 1).sum(),
        lambda x: x.T,
        lambda x: x @ x,
        lambda x: x.cumsum(axis=0),
    ],
    ids=["elementwise", "reduction", "view", "product", "scan"],
)
def test_explain_says_python_where_a_fused_source_is(work) -> None:
    plan = work(da.from_array(Slices(), chunks=2)).explain()
    assert not plan.is_native
    reading = [layer for layer in plan.details["layers"] if layer["python"]]
    assert reading, repr(plan)
    # What works on blocks that others have read is native.
    assert all(not layer["python"] for layer in work(da.ones((4, 4), chunks=2)).explain().details["layers"])


@pytest.mark.parametrize("tasks", [False, True])
def test_pictures(tasks, tmp_path) -> None:
    picture = pantile.visualize(expression(), tasks=tasks, filename=tmp_path / "graph.svg")
    root = ElementTree.fromstring((tmp_path / "graph.svg").read_text())
    assert root.tag.endswith("svg")
    assert len(root.findall(".//{*}title")) == len(picture) > 2
    picture.save(tmp_path / "graph.png")
    data = (tmp_path / "graph.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    length = struct.unpack(">I", data[33:37])[0]
    assert len(zlib.decompress(data[41 : 41 + length])) == height * (3 * width + 1)
    with pytest.raises(ValueError, match=r"\.svg, \.png or \.html"):
        picture.save(tmp_path / "graph.gif")


def test_boxes_do_not_overlap() -> None:
    picture = pantile.visualize(expression(), tasks=True)
    layout = picture._layout
    places: dict[int, list[float]] = {}
    for x, row in zip(layout.x, layout.row, strict=True):
        places.setdefault(row, []).append(x)
    for row in places.values():
        row.sort()
        assert all(b - a > 0.999 for a, b in pairwise(row))


def test_large_graphs_are_drawn_by_layer() -> None:
    x = da.random.default_rng(0).random((100, 100), chunks=5)
    picture = pantile.visualize((x + x.T).sum(axis=0), tasks=True, maximum=50)
    assert "one box a layer" in picture.note
    assert len(picture) < 20


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="it has"):
        pantile.no_such_thing
    assert pantile.__version__


def test_the_spill_folder_is_the_systems_and_costs_no_import(tmp_path):
    code = (
        "import sys, pantile; from pantile import config; assert pantile.delayed(abs)(-1).compute() == 1; "
        "print(config.get('spill_dir'), 'tempfile' in sys.modules)"
    )
    for folder, expected in ((tmp_path, tmp_path), (tmp_path / "missing", "/tmp")):
        env = {**os.environ, "TMPDIR": str(folder)}
        for name in ("TEMP", "TMP", "PANTILE_SPILL_DIR"):
            env.pop(name, None)
        ran = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        assert ran.stdout.split() == [str(expected), "False"]
