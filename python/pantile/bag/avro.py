"""Avro files, through fastavro."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import pantile
from pantile.bag.core import Bag
from pantile.bag.files import compression_of, expand, open_binary, size_of_file, targets, writing
from pantile.bag.partitions import Source, Stage, materialise
from pantile.bag.steps import Step

__all__ = ["read_avro", "to_avro"]


def _fastavro() -> Any:
    try:
        import fastavro
    except ImportError as error:
        raise ImportError("Avro files need fastavro; pip install 'pantile[bag]'") from error
    return fastavro


class _Records(Source):
    """The records of a file, or those whose blocks begin in a part of it."""

    __slots__ = ("compression", "options", "path", "span")

    def __init__(
        self, path: str, span: tuple[int, int] | None, compression: str | None, options: dict[str, Any] | None
    ) -> None:
        self.path = path
        self.span = span
        self.compression = compression
        self.options = options

    def describe(self) -> str:
        return self.path

    def load(self) -> Any:
        with open_binary(self.path, self.compression, self.options) as file:
            if self.span is None:
                return list(_fastavro().reader(file))
            # The header, which fastavro reads to its last byte and no further, says what stands between blocks.
            marker = _fastavro().reader(file)._header["sync"]
            header_size = file.tell()
            size = size_of_file(self.path, self.options)
            start, stop = (_block_at(file, p, header_size, size, marker) for p in self.span)
            file.seek(0)
            header = file.read(header_size)
            file.seek(start)
            return list(_fastavro().reader(io.BytesIO(header + file.read(stop - start))))


def _block_at(file: Any, position: int, header_size: int, size: int, marker: bytes) -> int:
    """Where the first block at or after a position begins."""
    from pantile.bag.files import _after_delimiter

    if position <= header_size:
        return header_size
    return _after_delimiter(file, position, size, marker) if position < size else size


def read_avro(
    urlpath: Any,
    blocksize: int | None = 100000000,
    storage_options: dict[str, Any] | None = None,
    compression: str | None = None,
) -> Bag:
    """A bag of the records of Avro files.

    Parameters
    ----------
    urlpath : str, path or list
        A file, a pattern, or a list of these, as for `read_text`.
    blocksize : int, optional
        About how many bytes of a file a partition has; None for a partition a file.
    storage_options : dict, optional
        What fsspec needs to reach the files.
    compression : str, optional
        Of the file as a whole, as for `read_text`; only with ``blocksize=None``. (Avro's own codecs need nothing
        here.)

    Returns
    -------
    Bag
        Dictionaries.

    Examples
    --------
    >>> import pantile.bag as db
    >>> records = db.read_avro("people.*.avro")  # doctest: +SKIP
    """
    _fastavro()
    if blocksize is not None and compression is not None:
        raise ValueError(
            "a compressed file cannot be read from the middle; use blocksize=None, a partition a file"
        )
    if blocksize is not None and blocksize < 1:
        raise ValueError(f"blocksize is {blocksize}; a block has at least one byte")
    sources: list[Source] = []
    for path in expand(urlpath, storage_options):
        packed = compression_of(path, compression)
        if blocksize is None:
            sources.append(_Records(path, None, packed, storage_options))
        else:
            size = size_of_file(path, storage_options)
            sources += (
                _Records(path, (start, start + blocksize), None, storage_options)
                for start in range(0, size, blocksize)
            )
    return Bag(Stage("read_avro", sources))


class _Write(Step):
    """Writes each partition into its file."""

    __slots__ = ("codec", "metadata", "options", "paths", "schema", "sync_interval")

    def __init__(
        self,
        paths: Sequence[str],
        schema: dict[str, Any],
        codec: str,
        sync_interval: int,
        metadata: dict[str, str] | None,
        options: dict[str, Any] | None,
    ) -> None:
        super().__init__("to_avro")
        self.paths = tuple(paths)
        self.schema = schema
        self.codec = codec
        self.sync_interval = sync_interval
        self.metadata = metadata
        self.options = options

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        with writing(self.paths[index], None, self.options) as file:
            _fastavro().writer(file, self.schema, elements, self.codec, self.sync_interval, self.metadata)
        return self.paths[index]


def _check_schema(schema: Any) -> None:
    if not isinstance(schema, dict):
        raise TypeError(f"an Avro schema is a dictionary, not {type(schema).__name__}")
    missing = [field for field in ("name", "type", "fields") if field not in schema]
    if missing:
        raise ValueError(f"the Avro schema has no {' and no '.join(missing)}")
    if schema["type"] != "record":
        raise ValueError(f"the Avro schema's type is {schema['type']!r}; it must be 'record'")
    for field in schema["fields"]:
        if "name" not in field or "type" not in field:
            raise ValueError(f"the Avro schema's field {field!r} needs a name and a type")


def to_avro(
    b: Bag,
    filename: Any,
    schema: dict[str, Any],
    name_function: Callable[[int], str] | None = None,
    storage_options: dict[str, Any] | None = None,
    codec: str = "null",
    sync_interval: int = 16000,
    metadata: dict[str, str] | None = None,
    compute: bool = True,
    **kwargs: Any,
) -> list[Any]:
    """Writes each partition of a bag of dictionaries as an Avro file.

    Parameters
    ----------
    b : Bag
        Dictionaries with the schema's fields.
    filename : str, path or list
        As for `to_textfiles`.
    schema : dict
        An Avro schema of a record: ``name``, ``type`` and ``fields``.
    name_function : callable, optional
        As for `to_textfiles`.
    storage_options : dict, optional
        What fsspec needs to reach the files.
    codec : {"null", "deflate", "snappy"}, optional
        How blocks are compressed.
    sync_interval : int, optional
        About how many bytes a block has before it is compressed.
    metadata : dict, optional
        What is added to the files' headers.
    compute : bool, optional
        Whether to write now.
    **kwargs
        As for `pantile.compute`.

    Returns
    -------
    list
        The files' paths, or (``compute=False``) delayed values that write them.

    Examples
    --------
    >>> import pantile.bag as db
    >>> b = db.from_sequence([{"name": "Alice", "value": 100}, {"name": "Bob", "value": 200}])
    >>> schema = {
    ...     "name": "People",
    ...     "type": "record",
    ...     "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": "int"}],
    ... }
    >>> b.to_avro("people.*.avro", schema)  # doctest: +SKIP
    ['/data/people.0.avro', '/data/people.1.avro']
    """
    _fastavro()
    _check_schema(schema)
    paths = targets(filename, b.npartitions, name_function)
    step = _Write(paths, schema, codec, sync_interval, metadata, storage_options)
    tasks = materialise(b._stage.then("to_avro", step).parts())
    if not compute:
        return tasks
    pantile.compute(*tasks, **kwargs)
    return paths
