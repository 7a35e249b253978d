"""Text files: `read_text` and `to_textfiles`."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pantile
from pantile import _native
from pantile.bag.core import Bag
from pantile.bag.files import (
    compression_of,
    cut,
    expand,
    is_url,
    open_binary,
    size_of_file,
    targets,
    text_lines,
    writing,
)
from pantile.bag.partitions import Source, Stage, materialise
from pantile.bag.steps import Step

__all__ = ["read_text", "to_textfiles"]

# What the extension decompresses.
_NATIVE = (None, "gzip", "bz2", "xz", "zstd")
# What Python's own text files end lines with; anything else is searched for.
_NEWLINES = ("", "\n", "\r", "\r\n")


class Lines(Source):
    """The lines of a file, or of a part of it."""

    __slots__ = ("compression", "delimiter", "encoding", "errors", "include_path", "options", "path", "span")

    def __init__(
        self,
        path: str,
        span: tuple[int, int] | None,
        compression: str | None,
        encoding: str,
        errors: str,
        delimiter: str | None,
        include_path: bool,
        options: dict[str, Any] | None,
    ) -> None:
        self.path = path
        self.span = span
        self.compression = compression
        self.encoding = encoding
        self.errors = errors
        self.delimiter = delimiter
        self.include_path = include_path
        self.options = options

    def describe(self) -> str:
        return self.path

    def load(self) -> Any:
        # Universal line ends that stay as they are ("") are Python's alone.
        if self.include_path or self.compression not in _NATIVE or self.delimiter == "":
            return list(self.head())
        try:
            return self._read()
        except _native.NotNative:
            return list(self.head())

    def _read(self) -> Any:
        """The lines as the extension's strings, read without Python's lock."""
        how: dict[str, Any] = {
            "compression": self.compression,
            "encoding": self.encoding,
            "errors": self.errors,
            "delimiter": self.delimiter,
        }
        start, stop = self.span or (None, None)
        if not is_url(self.path):
            return _native.bag_read(self.path, start, stop, **how)
        with open_binary(self.path, None, self.options) as file:
            file.seek(start or 0)
            return _native.bag_lines(file.read() if stop is None else file.read(stop - (start or 0)), **how)

    def head(self) -> Iterator[Any]:
        lines = self._lines()
        return ((line, self.path) for line in lines) if self.include_path else lines

    def _lines(self) -> Iterator[str]:
        if self.compression == "zstd" and self.delimiter != "":
            # Python has no zstd before 3.14, the extension has.
            with contextlib.suppress(_native.NotNative):
                yield from self._read()
                return
        with open_binary(self.path, self.compression, self.options) as file:
            if self.span is not None:
                start, stop = self.span
                file.seek(start)
                file = io.BytesIO(file.read(stop - start))
            if self.delimiter is None or self.delimiter in _NEWLINES:
                with io.TextIOWrapper(file, self.encoding, self.errors, newline=self.delimiter) as text:
                    yield from text
            else:
                yield from text_lines(file.read().decode(self.encoding, self.errors), self.delimiter)


class Several(Source):
    """The lines of several files, one after the other."""

    __slots__ = ("sources",)

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)

    def describe(self) -> str:
        return ", ".join(source.describe() for source in self.sources)

    def load(self) -> Any:
        return list(itertools.chain.from_iterable(source.load() for source in self.sources))

    def head(self) -> Iterable[Any]:
        return itertools.chain.from_iterable(source.head() for source in self.sources)


def read_text(
    urlpath: Any,
    blocksize: int | str | None = None,
    compression: str | None = "infer",
    encoding: str = "utf-8",
    errors: str = "strict",
    linedelimiter: str | None = None,
    collection: bool = True,
    storage_options: dict[str, Any] | None = None,
    files_per_partition: int | None = None,
    include_path: bool = False,
) -> Any:
    """A bag of the lines of text files.

    Parameters
    ----------
    urlpath : str, path or list
        A file, a pattern such as ``"logs/2024-*.json.gz"``, or a list of these. ``~`` is the user's folder, ``**``
        any number of folders. Addresses such as ``s3://bucket/x`` need fsspec (``pip install 'pantile[bag]'``).
    blocksize : int or str, optional
        About how many bytes of a file a partition has, such as ``"64MB"``, cut where lines end; a partition a file if
        not given. Compressed files cannot be cut.
    compression : str, optional
        ``"gzip"``, ``"bz2"``, ``"xz"``, ``"lzma"``, ``"zstd"``, ``"zip"`` (the first file in it) or None; ``"infer"``
        goes by the ending of the name.
    encoding, errors : str, optional
        As for `bytes.decode`.
    linedelimiter : str, optional
        What ends a line. Without it lines end with ``\\n``, ``\\r\\n`` or ``\\r``, and in the result all with
        ``\\n``.
    collection : bool, optional
        Whether to return a bag, or a list of delayed lists.
    storage_options : dict, optional
        What fsspec needs to reach the files.
    files_per_partition : int, optional
        How many files are put into one partition; not together with `blocksize`.
    include_path : bool, optional
        Whether elements are pairs of line and path.

    Returns
    -------
    Bag or list of Delayed
        The lines, with their ends.

    Raises
    ------
    FileNotFoundError
        If nothing matches a path or pattern; at once, not when the bag is computed.
    ValueError
        If arguments exclude each other.

    Notes
    -----
    Dask gives one empty line more if a file ends with a `linedelimiter` of its own and is not cut into blocks; here
    there is none.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pantile.bag as db
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.txt")
    ...     _ = path.write_text("one\\ntwo\\nthree\\n")
    ...     db.read_text(path).map(str.strip).compute(), db.read_text(path, blocksize=7).npartitions
    (['one', 'two', 'three'], 2)
    """
    from pantile.config import parse_bytes

    if blocksize is not None and files_per_partition is not None:
        raise ValueError("read_text takes blocksize or files_per_partition, not both")
    if files_per_partition is not None and files_per_partition < 1:
        raise ValueError(f"files_per_partition is {files_per_partition}; it must be at least 1")
    encoding = encoding or "utf-8"
    paths = expand(urlpath, storage_options)

    def lines(path: str, span: tuple[int, int] | None, packed: str | None) -> Lines:
        return Lines(path, span, packed, encoding, errors, linedelimiter, include_path, storage_options)

    sources: list[Source] = []
    if blocksize is not None:
        size = parse_bytes(blocksize)
        if size < 1:
            raise ValueError(f"blocksize is {blocksize!r}; a block has at least one byte")
        delimiter = _cuttable(encoding, linedelimiter)
        for path in paths:
            packed = compression_of(path, compression)
            if packed is not None:
                raise ValueError(
                    f"{path} is compressed ({packed}), and such files cannot be read from the middle; "
                    "use blocksize=None, a partition a file"
                )
            if is_url(path):
                with open_binary(path, None, storage_options) as file:
                    spans = cut(file, size_of_file(path, storage_options), size, delimiter)
            else:
                spans = _native.bag_cut(path, size, delimiter)
            sources += (lines(path, span, None) for span in spans)
    else:
        sources = [lines(path, None, compression_of(path, compression)) for path in paths]
        if files_per_partition is not None:
            sources = [
                Several(sources[i : i + files_per_partition])
                for i in range(0, len(sources), files_per_partition)
            ]
    bag = Bag(Stage("read_text", sources))
    return bag if collection else bag.to_delayed()


def _cuttable(encoding: str, delimiter: str | None) -> bytes:
    """The bytes to cut at, if the encoding has them nowhere but at a line's end."""
    if "\n".encode(encoding) != b"\n":
        raise ValueError(
            f"text in {encoding} cannot be cut at line ends without reading it; use blocksize=None"
        )
    return (delimiter or "\n").encode(encoding)


class _Write(Step):
    """Writes each partition into its file."""

    __slots__ = ("compressions", "encoding", "last_endline", "options", "paths")

    def __init__(
        self,
        paths: Sequence[str],
        compressions: Sequence[str | None],
        encoding: str | None,
        last_endline: bool,
        options: dict[str, Any] | None,
    ) -> None:
        super().__init__("to_textfiles")
        self.paths = tuple(paths)
        self.compressions = tuple(compressions)
        self.encoding = encoding
        self.last_endline = last_endline
        self.options = options

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        ended = True
        with writing(self.paths[index], self.compressions[index], self.options) as file:
            for element in elements:
                if not ended:
                    file.write(self._bytes("\n"))
                file.write(self._bytes(element))
                ended = False
            if self.last_endline:
                file.write(self._bytes("\n"))
        return self.paths[index]

    def _bytes(self, element: Any) -> bytes:
        if isinstance(element, str):
            return element.encode(self.encoding or "utf-8")
        if isinstance(element, (bytes, bytearray)):
            return bytes(element) if self.encoding is None else element.decode("utf-8").encode(self.encoding)
        raise TypeError(
            f"to_textfiles writes strings, and an element is a {type(element).__name__}; "
            "map(str) or map(json.dumps) makes strings"
        )


def to_textfiles(
    b: Bag,
    path: Any,
    name_function: Callable[[int], str] | None = None,
    compression: str | None = "infer",
    encoding: str | None = "utf-8",
    compute: bool = True,
    storage_options: dict[str, Any] | None = None,
    last_endline: bool = False,
    **kwargs: Any,
) -> list[Any]:
    """Writes each partition of a bag of strings as a text file, a line an element.

    Parameters
    ----------
    b : Bag
        Strings, or bytes.
    path : str, path or list
        A name with one ``*``, which stands for the partition's name; a folder, whose files are then called
        ``*.part``; or a path a partition. Folders are made where they are missing.
    name_function : callable, optional
        Gives the name of partition `i`; its number, padded with zeros, if not given.
    compression : str, optional
        ``"gzip"``, ``"bz2"``, ``"xz"``, ``"lzma"``, ``"zstd"`` or None; ``"infer"`` goes by the ending of the name.
    encoding : str, optional
        Of the text; None if the elements are bytes.
    compute : bool, optional
        Whether to write now.
    storage_options : dict, optional
        What fsspec needs to reach the files.
    last_endline : bool, optional
        Whether the last line has an end too.
    **kwargs
        As for `pantile.compute`.

    Returns
    -------
    list
        The files' paths, or (``compute=False``) delayed values that write them.

    Notes
    -----
    A file appears under its name only when it is complete; a run that fails leaves no half files.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pantile.bag as db
    >>> b = db.from_sequence(["a", "b", "c"], npartitions=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = [Path(p) for p in db.to_textfiles(b, folder, name_function="part-{}".format)]
    ...     [path.name for path in paths], paths[0].read_text()
    (['part-0.part', 'part-1.part'], 'a\\nb')
    """
    paths = targets(path, b.npartitions, name_function)
    compressions = [compression_of(p, compression) for p in paths]
    if encoding is not None:
        "".encode(encoding)  # An unknown name is an error here, and not in each task.
    step = _Write(paths, compressions, encoding, last_endline, storage_options)
    tasks = materialise(b._stage.then("to_textfiles", step).parts())
    if not compute:
        return tasks
    pantile.compute(*tasks, **kwargs)
    return paths
