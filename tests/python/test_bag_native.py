"""The native core of bags against CPython: json, str, text files, gzip, Counter, heapq. Results are equal, errors too."""

import bz2
import collections
import gzip
import heapq
import io
import json
import lzma
import math
import pickle
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pantile import _native as n

WORDS = [("str", "split"), ("flatten",)]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=25)
spaced = st.text(
    st.sampled_from("ab \t\r\n\x0b\x1c\x1f\x85\xa0\u2003\u2028\u200béßſİΣσıǅǄ1²Ⅷ٣𝟘-"), max_size=25
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(text, v, max_size=4), max_leaves=12
)


def same(a, b):
    """Equal with equal types: 1 is not True here."""
    return repr(a) == repr(b)


def outcome(f, *args):
    """What a call gives, or what it raises, for comparing two ways."""
    try:
        return "value", repr(f(*args))
    except n.NotNative:
        return "not native", None
    except Exception as e:
        return type(e), str(e)


def apply(steps, part):
    return n.bag_apply(steps, part).tolist()


# ---- sequences ----


@pytest.mark.parametrize("items", [[], ["a", "", "bü\n"], ["x"] * 300])
def test_strings_look_like_a_list(items):
    s = n.Strings.from_list(items)
    assert len(s) == len(items)
    assert list(s) == items
    assert s.tolist() == items
    assert s == items
    assert s == n.Strings.from_list(items)
    assert s != [*items, "more"]
    assert s != tuple(items)
    for cut in (slice(1, None), slice(None, None, -1), slice(-2, 100, 2), slice(3, 1)):
        assert s[cut] == items[cut]
    if items:
        assert s[-1] == items[-1]
    for bad in (len(items), -len(items) - 1, 2**80):
        with pytest.raises(IndexError):
            s[bad]
    with pytest.raises(TypeError):
        s["x"]
    with pytest.raises(TypeError):
        hash(s)


@given(st.lists(values, max_size=6))
@settings(max_examples=80, deadline=None)
def test_values_come_back_as_they_were(items):
    v = n.Values.from_list(items)
    assert same(v.tolist(), items)
    assert same(list(v), items)
    assert same(v[::-1].tolist(), items[::-1])
    for protocol in (2, 5):
        assert same(pickle.loads(pickle.dumps(v, protocol)).tolist(), items)


@pytest.mark.parametrize(
    ("items", "kind"),
    [([1, 2], "ints"), ([1.5, math.inf], "floats"), ([True], "bools"), (["a"], "strs"),
     ([["a", "b"], [], ["c"]], "strlists"), ([1, "a"], "any"), ([], "strs"), ([1, 2**64], "any")],
)  # fmt: skip
def test_flat_forms_and_pickling_out_of_band(items, kind):
    v = n.Values.from_list(items)
    assert v.kind == kind
    buffers = []
    data = pickle.dumps(v, 5, buffer_callback=buffers.append)
    assert buffers
    assert same(pickle.loads(data, buffers=buffers).tolist(), items)


def test_pickles_that_do_not_fit_are_refused():
    for kind, wide, buffers in [
        ("strings", [False], (b"\xff", b"\0\0\0\0\1\0\0\0")),
        ("strings", [False], ("é".encode(), b"\0\0\0\0\1\0\0\0\2\0\0\0")),
        ("strings", [False], (b"ab", b"\0\0\0\0\3\0\0\0")),
        ("any", [False], (b"\x06\x05a", b"\0\0\0\0\3\0\0\0")),
        ("ints", [], (b"abc",)),
        ("other", [], ()),
    ]:
        with pytest.raises(ValueError, match=r"pickled|offsets"):
            n._bag_rebuild(kind, wide, buffers)


@pytest.mark.parametrize("item", ["\ud800", {1: 2}, object(), b"x", {1}, collections.OrderedDict(a=1)])
def test_what_has_no_native_form_says_so(item):
    with pytest.raises(n.NotNative):
        n.Values.from_list([1, item])
    assert issubclass(n.NotNative, TypeError)


# ---- JSON ----


@given(values)
@settings(max_examples=120, deadline=None)
def test_json_is_pythons(value):
    line = json.dumps(value)
    assert same(apply([("json.loads",)], [line]), [value])
    assert same(apply([("json.loads",)], [json.dumps(value, ensure_ascii=False, indent=1)]), [value])
    assert apply([("json.dumps",)], [value]) == [line]


@given(values, st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_json_is_refused_as_python_refuses_it(value, data):
    line = json.dumps({"a": value, "b": [1, {"a": 2}]})
    at = data.draw(st.integers(0, len(line) - 1))
    to = data.draw(st.integers(at, min(len(line), at + 2)))
    line = line[:at] + data.draw(st.text('[]{}",:\\u0eE-+.tn ', max_size=2)) + line[to:]
    wanted = outcome(json.loads, line)
    got = outcome(lambda s: apply([("json.loads",)], [s])[0], line)
    assert got == wanted or got[0] == "not native"
    wanted = outcome(lambda s: json.loads(s)["b"], line)
    got = outcome(lambda s: apply([("json.loads",), ("pluck", "b")], [s])[0], line)
    assert got == wanted or got[0] == "not native"


@pytest.mark.parametrize(
    "line",
    ["NaN", "-Infinity", "1e400", "-0", "-0.0", "1E5", "123456789012345678901234567890", '{"a":1,"b":2,"a":3}',
     '"\\ud83d\\ude00"', " [1 , 2 ]\r\n", "1" * 5000, "01", "[1,]", "", '{"a":1} x', "\ufeff1", '"\x01"', '"a', "[" * 5000],
)  # fmt: skip
def test_corners_of_json(line):
    assert outcome(lambda s: apply([("json.loads",)], [s])[0], line) == outcome(json.loads, line)


def test_a_lone_surrogate_is_left_to_python():
    with pytest.raises(n.NotNative):
        n.bag_apply([("json.loads",)], [r'"\ud800"'])


def test_pluck():
    rows = [{"a": 1, "b": [1, 2]}, {"b": [3], "a": None}]
    lines = [json.dumps(row) for row in rows]
    assert apply([("json.loads",), ("pluck", "b"), ("pluck", -1)], lines) == [2, 3]
    assert apply([("json.loads",), ("pluck", ["b", "a"])], lines) == [([1, 2], 1), ([3], None)]
    assert apply([("pluck", ["a", "x"], 0)], rows) == [(1, 0), (None, 0)]
    assert apply([("pluck", 1)], ["abc", [1, "é"], (1, 2)]) == ["b", "é", 2]
    assert apply([("pluck", 5, None)], ["abc", [1]]) == [None, None]
    for part, key, error in [
        (rows, "x", KeyError),
        ([[1]], 3, IndexError),
        ([1], "a", TypeError),
        (["s"], "a", TypeError),
    ]:
        with pytest.raises(error) as caught:
            n.bag_apply([("pluck", key)], part)
        assert caught.value.__notes__ == ["in element 0 of the partition"]
    with pytest.raises(KeyError, match="'x'") as caught:
        n.bag_apply([("json.loads",), ("pluck", "x")], ['{"x":1}', '{"a":1}'])
    assert caught.value.__notes__ == ["in element 1 of the partition"]


# ---- str ----

METHODS = [
    ("split",), ("split", None, 0), ("split", None, 1), ("split", "a"), ("split", " ", 1), ("split", "ab", 2), ("rsplit",),
    ("rsplit", "a"), ("rsplit", "a", 1), ("splitlines",), ("splitlines", True), ("partition", "b"), ("strip",), ("lstrip",),
    ("rstrip",), ("strip", "ab\xa0"), ("lower",), ("upper",), ("casefold",), ("startswith", "a"), ("startswith", ("b", " ")),
    ("endswith", "a"), ("replace", "a", "bb"), ("replace", "", "-"), ("replace", "", "-", 2), ("replace", "a", "", 1),
    ("removeprefix", "a"), ("removesuffix", "b"), ("count", "a"), ("count", ""), ("find", "b"), ("find", ""), ("isalpha",),
    ("isalnum",), ("isdigit",), ("isdecimal",), ("isnumeric",), ("isspace",), ("isprintable",), ("isascii",), ("islower",),
    ("isupper",),
]  # fmt: skip


@given(st.lists(spaced | text, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_str_methods_are_pythons(items):
    for name, *args in METHODS:
        assert same(apply([("str", name, *args)], items), [getattr(s, name)(*args) for s in items]), (
            name,
            args,
        )
    assert apply([("len",)], items) == [len(s) for s in items]
    for name in ("split", "splitlines"):
        assert apply([("str", name), ("flatten",)], items) == [w for s in items for w in getattr(s, name)()]
    assert apply([("flatten",)], items) == list("".join(items))


def test_every_character_has_pythons_case_and_class():
    # Beyond the second plane nothing has case, and classes are those of whole blocks.
    chars = [chr(c) for c in range(0x20000) if not 0xD800 <= c < 0xE000]
    part = n.Strings.from_list(chars)
    for name in ("upper", "casefold", "isalpha", "islower", "isupper", "split"):
        assert apply([("str", name)], part) == [getattr(c, name)() for c in chars], name


def test_every_method_listed_is_tested():
    listed = {s.removeprefix("str.") for s in n.bag_native_steps() if s.startswith("str.")}
    assert listed == {m[0] for m in METHODS}


def test_errors_are_pythons():
    def caught(f):
        with pytest.raises(Exception) as info:
            f()
        return type(info.value), str(info.value)

    for steps, item, plain in [
        ([("str", "split")], 1, lambda x: x.split()),
        ([("str_unbound", "split")], 1, lambda x: str.split(x)),
        ([("len",)], 1, len),
        ([("int",)], "x", int),
        ([("int",)], None, int),
        ([("float",)], "1.2.3", float),
        ([("flatten",)], 5, list),
        ([("lt", 3)], "a", lambda x: x < 3),
    ]:
        assert caught(lambda s=steps, i=item: n.bag_apply(s, [i])) == caught(lambda p=plain, i=item: p(i))
    for bad in [
        ("nope",),
        ("str", "title"),
        ("str", "split", ""),
        ("str", "split", 1),
        ("pluck", 1.5),
        ("len", 1),
    ]:
        with pytest.raises(n.NotNative):
            n.bag_apply([bad], ["a"])


@given(
    st.lists(
        scalars
        | st.sampled_from([" 12 ", "1_0", "+5", "-7", "٣", "1e3", "nan", "-inf", "1_0.5", ".5", "0x1", ""])
    )
)
@settings(max_examples=100, deadline=None)
def test_numbers_are_pythons(items):
    for name, f in (("int", int), ("float", float)):
        for x in items:
            assert outcome(lambda x=x, name=name: apply([(name,)], [x])[0]) == outcome(f, x)


@given(st.lists(scalars, max_size=8), scalars)
@settings(max_examples=100, deadline=None)
def test_filters_compare_as_python_does(items, value):
    assert same(apply([("filter_eq", value)], items), [x for x in items if x == value])
    assert same(apply([("filter", ("ne", value))], items), [x for x in items if x != value])
    assert same(apply([("remove", [("eq", value)])], items), [x for x in items if x != value])
    numbers = [x for x in items if isinstance(x, (int, float))]
    if isinstance(value, (int, float)):
        assert same(apply([("filter", ("lt", value))], numbers), [x for x in numbers if x < value])
        assert same(apply([("filter", ("ge", value))], numbers), [x for x in numbers if x >= value])


def test_take_and_distinct():
    assert apply([("distinct",)], [1, 1.0, True, "a", "a", None, 2]) == [1, "a", None, 2]
    assert apply([("flatten",), ("take", 3)], [[1, 2], [3, 4], 5]) == [1, 2, 3]


# ---- counting ----


keys = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, -0.0, 1.0, 0.5, 2.0**70, 2**70, math.inf, "a", "b", ""])
    | st.tuples(st.sampled_from([1, 1.0, True, "a"]), st.just(2))
)


@given(st.lists(keys, max_size=30), st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_frequencies_are_a_counter(items, cut):
    plain = list(collections.Counter(items).items())
    counts = n.bag_frequencies(items)
    assert same(counts.items(), plain)
    assert len(counts) == len(plain)
    merged = n.Counts.merge([n.bag_frequencies(items[:cut]), n.bag_frequencies(items[cut:])])
    assert same(merged.items(), plain)
    assert same(pickle.loads(pickle.dumps(merged, 5)).items(), plain)
    for k in (0, 2, 50):
        assert same(counts.topk(k), heapq.nlargest(k, plain, key=lambda p: p[1]))


def test_unhashable_and_nan_keys():
    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        n.bag_frequencies([["a"]])
    with pytest.raises(n.NotNative, match="NaN"):
        n.bag_frequencies([math.nan])
    with pytest.raises(n.NotNative, match="order"):
        n.bag_frequencies(["a", 1]).topk(1, key=0)


@given(st.lists(st.lists(spaced, max_size=3).map(" ".join), max_size=10))
@settings(max_examples=80, deadline=None)
def test_word_count_in_one_pass(texts):
    lines = [json.dumps({"id": i, "text": t}) for i, t in enumerate(texts)]
    counts = n.bag_frequencies(lines, [("json.loads",), ("pluck", "text"), *WORDS])
    plain = list(collections.Counter(w for t in texts for w in t.split()).items())
    assert counts.items() == plain
    assert counts.topk(3, key=0) == heapq.nlargest(3, plain, key=lambda p: p[0]) == counts.topk(3, key=None)


@given(st.lists(st.integers() | st.floats(allow_nan=False), max_size=20), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_topk_and_reductions(items, k):
    assert same(n.bag_topk(items, k), heapq.nlargest(k, items))
    rows = [{"v": x, "i": i} for i, x in enumerate(items)]
    assert same(n.bag_topk(rows, k, "v"), heapq.nlargest(k, rows, key=lambda r: r["v"]))
    for op, f in (("count", len), ("min", min), ("max", max), ("any", any), ("all", all)):
        if items or op not in ("min", "max"):
            assert same(n.bag_reduce(items, op)[0], f(items))
    got = outcome(lambda: n.bag_reduce(items, "sum")[0])
    assert got == outcome(sum, items) or got[0] == "not native"
    assert n.bag_reduce([], "min") == (None, 0)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", 1, True, None]), st.integers()), max_size=20),
    st.integers(0, 20),
)
@settings(max_examples=80, deadline=None)
def test_foldby(pairs, cut):
    for op, f in (("count", len), ("sum", sum), ("min", min), ("max", max)):
        plain = {}
        for key, value in pairs:
            plain.setdefault(key, []).append(value)
        parts = [n.bag_foldby(part, 0, op, ("pluck", 1)) for part in (pairs[:cut], pairs[cut:])]
        merged = pickle.loads(pickle.dumps(n.Folds.merge(parts), 5))
        assert same(merged.items(), [(key, f(v)) for key, v in plain.items()])


# ---- files ----


@given(st.text("ab\r\né;", max_size=20), st.sampled_from([None, "\n", "\r\n", "\r"]))
@settings(max_examples=100, deadline=None)
def test_lines_are_those_of_text_files(s, delimiter):
    wanted = (
        list(io.StringIO(s, newline=delimiter))
        if delimiter != "\r\n"
        else s.replace("\r\n", "\r\n\0").split("\0")
    )
    if delimiter == "\r\n" and not wanted[-1]:
        wanted.pop()
    if delimiter in ("\n", "\r"):
        wanted = [p for p in s.replace(delimiter, delimiter + "\0").split("\0") if p]
    for encoding in ("utf-8", "utf-16", "latin-1"):
        assert n.bag_lines(s.encode(encoding), encoding=encoding, delimiter=delimiter) == wanted


@given(st.binary(max_size=20) | st.text(max_size=8).map(lambda s: s.encode("utf-8", "surrogatepass")))
@settings(max_examples=150, deadline=None)
def test_decoding_is_pythons(data):
    for encoding in ("utf-8", "ascii", "latin1", "cp1252"):
        for errors in ("strict", "replace", "ignore"):
            got = outcome(lambda c=encoding, e=errors: "".join(n.bag_lines(data, encoding=c, errors=e)))
            wanted = outcome(
                lambda c=encoding, e=errors: "".join(io.StringIO(data.decode(c, e), newline=None))
            )
            if wanted[0] is UnicodeDecodeError:
                # The position in the message is that in the few bytes around; a note has the one in the data.
                assert got[0] is UnicodeDecodeError
                assert got[1].rpartition(": ")[2] == wanted[1].rpartition(": ")[2]
            else:
                assert got == wanted


def test_an_undecodable_byte_is_located(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("é\n".encode() * 100 + b"\xff\n")
    with pytest.raises(UnicodeDecodeError, match="invalid start byte") as caught:
        n.bag_read(path)
    assert caught.value.object[caught.value.start] == 0xFF
    assert caught.value.__notes__ == ["the byte is at offset 300 of the data", f"while reading {path}"]


COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("extension", COMPRESS)
def test_compressed_files(tmp_path, extension):
    compress = COMPRESS[extension]
    path = tmp_path / f"a{extension}"
    path.write_bytes(compress(b"one\r\n") + compress(b"two\n"))
    assert n.bag_read(path) == ["one\n", "two\n"]
    assert n.bag_read(path, strip=True) == ["one", "two"]
    data = compress(b"some text\n" * 500)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(EOFError, match="ended before the end-of-stream marker") as caught:
        n.bag_read(path)
    assert str(path) in str(caught.value)
    assert "at byte" in str(caught.value)
    path.write_bytes(b"this was never compressed\n")
    with pytest.raises(OSError, match="near byte") as caught:
        n.bag_read(path)
    assert str(path) in str(caught.value)
    path.write_bytes(b"")
    assert extension != ".gz" or n.bag_read(path) == []


def test_gzip_errors_are_gzips(tmp_path):
    path = tmp_path / "a.gz"
    data = bytearray(gzip.compress(b"text\n" * 100))
    data[-6] ^= 1
    path.write_bytes(data)
    with pytest.raises(gzip.BadGzipFile):
        n.bag_read(path)
    with pytest.raises(FileNotFoundError) as caught:
        n.bag_read(tmp_path / "none.gz")
    assert caught.value.filename == str(tmp_path / "none.gz")
    with pytest.raises(n.NotNative):
        n.bag_read(tmp_path / "none.zip")


def test_blocks_are_those_of_dask(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"".join(b"line %d\n" % i for i in range(100)))
    ranges = n.bag_cut(path, 100)
    assert ranges[0] == (0, 118)
    assert ranges[-1][1] == path.stat().st_size
    assert len(ranges) == 7
    lines = [line for a, b in ranges for line in n.bag_read(path, a, b)]
    assert lines == n.bag_read(path).tolist() == path.read_text().splitlines(keepends=True)
    path.write_bytes(b"")
    assert n.bag_cut(path, 10) == []
    assert n.bag_read(path) == []


# ---- buckets, threads ----


def test_buckets(tmp_path):
    with n.Buckets(tmp_path, 4, 1000) as buckets:
        for i in range(200):
            buckets.add(i % 4, b"%d" % i * 10)
        assert buckets.spilled_bytes > 0
        assert buckets.held_bytes <= 1000
        assert len(buckets) == 4
        for b in range(4):
            assert buckets.read(b) == [b"%d" % i * 10 for i in range(b, 200, 4)]
        assert any(tmp_path.iterdir())
    assert not any(tmp_path.iterdir())
    with pytest.raises(ValueError, match="closed"):
        buckets.add(0, b"x")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="Not a directory"):
        n.Buckets(tmp_path / "file", 1, 0)


def test_the_gil_is_free_while_counting():
    """A thread of Python gets on while a native one counts: it sees the count running."""
    part = n.Strings.from_list(["a b c d e f g h"] * 300_000)
    running = threading.Event()
    seen = []

    def count():
        running.set()
        n.bag_frequencies(part, WORDS)
        running.clear()

    thread = threading.Thread(target=count)
    thread.start()
    running.wait()
    while running.is_set():
        seen.append(1)
    thread.join()
    assert len(seen) > 1000
