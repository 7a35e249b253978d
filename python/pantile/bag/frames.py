"""Bags as pandas frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pantile.bag.core import Bag
from pantile.bag.partitions import Call, materialise, to_list

__all__ = ["to_dataframe"]


class _Frame:
    """One frame of all partitions."""

    __slots__ = ("__name__", "columns", "dtypes")

    def __init__(self, columns: list[Any] | None, dtypes: dict[Any, Any] | None) -> None:
        self.columns = columns
        self.dtypes = dtypes
        self.__name__ = "to_dataframe"

    def __call__(self, parts: list[Any]) -> Any:
        import numpy as np
        import pandas as pd

        lists = [to_list(part) for part in parts]
        frame = pd.DataFrame([e for part in lists for e in part], columns=self.columns)
        if self.dtypes is not None:
            frame = frame.astype(self.dtypes)
        frame.index = pd.Index(np.concatenate([np.arange(len(part)) for part in lists]))
        return frame


def to_dataframe(bag: Bag, meta: Any, columns: Sequence[Any] | None) -> Any:
    """See `Bag.to_dataframe`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("to_dataframe needs pandas; pip install pandas") from error
    if meta is not None and columns is not None:
        raise ValueError("to_dataframe takes meta or columns, not both")
    dtypes = None
    if isinstance(meta, pd.DataFrame):
        dtypes = meta.dtypes.to_dict()
    elif isinstance(meta, Mapping):
        dtypes = dict(meta)
    elif meta is not None:
        dtypes = dict(meta)  # pairs of name and type
    names = list(dtypes) if dtypes is not None else list(columns) if columns is not None else None
    return materialise([Call(_Frame(names, dtypes), bag._stage.parts())])[0]
