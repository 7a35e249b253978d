"""Collections of Python objects: lines of files, JSON records, tuples; whatever fits into no array.

``import pantile.bag as db`` gives the functions and methods of ``dask.bag``: bags are made by `from_sequence`,
`read_text` and so on, worked on with methods such as `Bag.map`, `Bag.filter` and `Bag.groupby`, and computed by
`Bag.compute`.

Modules, in reading order: ``partitions`` (what a bag is), ``steps`` (what is done to elements), ``core`` (`Bag` and
`Item`), ``creation``, ``mapping``, ``reductions``, ``accumulation``, ``shuffle``, ``joining``, ``partitioning``,
``random``, ``strings``, ``files``, ``text``, ``avro``, ``frames``, ``representation``, ``testing``.
"""

from pantile import compute
from pantile.bag import random
from pantile.bag.avro import read_avro, to_avro
from pantile.bag.core import Bag, Item
from pantile.bag.creation import from_delayed, from_sequence, from_url, range
from pantile.bag.mapping import concat, map, map_partitions, zip
from pantile.bag.testing import assert_eq
from pantile.bag.text import read_text, to_textfiles

__all__ = [
    "Bag",
    "Item",
    "assert_eq",
    "compute",
    "concat",
    "from_delayed",
    "from_sequence",
    "from_url",
    "map",
    "map_partitions",
    "random",
    "range",
    "read_avro",
    "read_text",
    "to_avro",
    "to_textfiles",
    "zip",
]
