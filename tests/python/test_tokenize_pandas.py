"""Tokens of pandas' and pyarrow's objects. Both are optional: without them there is nothing to test here."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from pantile import tokenize

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")


def zoo() -> dict[str, object]:
    """Values that all differ, by name, made anew each time."""
    return {
        "series": pd.Series([1, 2, 3]),
        "series name": pd.Series([1, 2, 3], name="a"),
        "series index": pd.Series([1, 2, 3], index=[1, 2, 4]),
        "float": pd.Series([1.0, 2, 3]),
        "str": pd.Series(["a", "b", None]),
        "str2": pd.Series(["a", "c", None]),
        "obj": pd.Series(["a", "b", None], dtype=object),
        "obj mixed": pd.Series(["a", 1, [2]], dtype=object),
        "cat": pd.Series(["a", "b"], dtype="category"),
        "cat2": pd.Series(pd.Categorical(["a", "b"], ["b", "a"])),
        "ordered": pd.Series(pd.Categorical(["a", "b"], ordered=True)),
        "dt": pd.Series(pd.date_range("2020", periods=3)),
        "dt tz": pd.Series(pd.date_range("2020", periods=3, tz="UTC")),
        "td": pd.Series(pd.timedelta_range("1D", periods=3)),
        "period": pd.Series(pd.period_range("2020", periods=3, freq="D")),
        "interval": pd.Series(pd.interval_range(0, 3)),
        "interval left": pd.Series(pd.interval_range(0, 3, closed="left")),
        "Int64": pd.Series([1, None], dtype="Int64"),
        "Int64 b": pd.Series([1, 2], dtype="Int64"),
        "boolean": pd.Series([True, None], dtype="boolean"),
        "arrow": pd.Series([1, None], dtype="int64[pyarrow]"),
        "arrow str": pd.Series(["a", None], dtype=pd.ArrowDtype(pa.string())),
        "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 1])),
        "index": pd.Index([1, 2]),
        "index name": pd.Index([1, 2], name="x"),
        "range": pd.RangeIndex(3),
        "range2": pd.RangeIndex(4),
        "multi": pd.MultiIndex.from_product([[1, 2], ["a", "b"]]),
        "multi names": pd.MultiIndex.from_product([[1, 2], ["a", "b"]], names=["x", "y"]),
        "dti": pd.date_range("2020", periods=3),
        "pi": pd.period_range("2020", periods=3, freq="D"),
        "df": pd.DataFrame({"a": [1, 2], "b": [1.0, 2]}),
        "df order": pd.DataFrame({"b": [1.0, 2], "a": [1, 2]}),
        "df cols": pd.DataFrame({"a": [1, 2], "c": [1.0, 2]}),
        "df idx": pd.DataFrame({"a": [1, 2], "b": [1.0, 2]}, index=["x", "y"]),
        "empty": pd.DataFrame(),
        "empty cols": pd.DataFrame(columns=["a"]),
        "NA": pd.NA,
        "NaT": pd.NaT,
        "Timestamp": pd.Timestamp("2020"),
        "Timestamp tz": pd.Timestamp("2020", tz="UTC"),
        "Timedelta": pd.Timedelta(1, "s"),
        "Period": pd.Period("2020"),
        "Interval": pd.Interval(0, 1),
        "catdtype": pd.CategoricalDtype(["a"]),
        "Int64Dtype": pd.Int64Dtype(),
        "dtz": pd.DatetimeTZDtype(tz="UTC"),
        "offset": pd.offsets.Day(2),
        "offset1": pd.offsets.Day(1),
        "bday": pd.offsets.BDay(1),
        "pa arr": pa.array([1, 2]),
        "pa chunked": pa.chunked_array([[1], [3]]),
        "pa table": pa.table({"a": [1]}),
        "pa table2": pa.table({"a": [2]}),
        "pa type": pa.int64(),
        "pa schema": pa.schema([("a", pa.int64())]),
    }


def token(value: object) -> str:
    return tokenize(value, ensure_deterministic=True)


def test_all_differ_and_copies_agree() -> None:
    tokens = {name: token(value) for name, value in zoo().items()}
    assert len(set(tokens.values())) == len(tokens)
    for name, value in zoo().items():
        assert token(value) == tokens[name], name
        assert token(copy.deepcopy(value)) == tokens[name], name
        assert token(pickle.loads(pickle.dumps(value))) == tokens[name], name


def test_how_columns_share_memory_does_not_count() -> None:
    one = pd.DataFrame(np.arange(12.0).reshape(4, 3), columns=list("abc"))
    two = pd.DataFrame({c: one[c].copy() for c in "abc"})
    assert token(one) == token(two)
    assert token(one.iloc[::2].reset_index(drop=True)) == token(two.iloc[::2].copy().reset_index(drop=True))
    one.iloc[0, 0] = 7
    assert token(one) != token(two)


def test_what_a_slice_does_not_show_does_not_count() -> None:
    s = pd.Series(["a", "b", "c"] * 3)
    assert token(s[3:6].reset_index(drop=True)) == token(pd.Series(["a", "b", "c"]))
    index = pd.MultiIndex.from_product([[1, 2], ["a", "b"]])
    assert token(index[:2]) == token(pd.MultiIndex.from_product([[1], ["a", "b"]]))
    assert token(pa.chunked_array([[1], [3]])) == token(pa.chunked_array([[1, 3]]))


def test_what_is_missing_does_not_count() -> None:
    x = pd.array([1, 2], dtype="Int64")
    x[0] = pd.NA
    assert token(x) == token(pd.array([None, 2], dtype="Int64"))
