"""Files by name: patterns, addresses, compression, and writing that leaves no half file.

Local paths need nothing but Python. Addresses such as ``s3://bucket/x.txt`` go through fsspec, if it is installed.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import uuid
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, BinaryIO

__all__ = ["compression_of", "expand", "is_url", "open_binary", "size_of_file", "targets", "writing"]

# Dask's names, and the endings that stand for them where compression is "infer".
_ENDINGS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".lzma": "lzma", ".zst": "zstd", ".zip": "zip"}
_NAMES = {
    "gzip": "gzip",
    "bz2": "bz2",
    "xz": "xz",
    "lzma": "lzma",
    "zstd": "zstd",
    "zst": "zstd",
    "zip": "zip",
}

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://|^[A-Za-z][A-Za-z0-9+.-]*::")


def is_url(path: str) -> bool:
    """Whether a path is an address for fsspec. ``file://`` is not: it is taken off by `local`."""
    return bool(_URL.match(path))


def local(path: Any) -> str:
    """A path as a string, without ``file://`` and with the user's folder for ``~``."""
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"a path is a string or a path object, not {type(path).__name__}")
    if text.startswith("file://"):
        text = text[len("file://") :]
    return text if is_url(text) else os.path.abspath(os.path.expanduser(text))


def _fsspec() -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise ImportError("addresses with a protocol need fsspec; pip install 'pantile[bag]'") from error
    return fsspec


def expand(urlpath: Any, options: dict[str, Any] | None) -> list[str]:
    """The files that a path, a pattern or a list of these stands for, patterns in sorted order."""
    given = [urlpath] if isinstance(urlpath, (str, os.PathLike)) else list(urlpath)
    if not given:
        raise ValueError("no files were given")
    found: list[str] = []
    for path in given:
        text = local(path)
        if is_url(text):
            if not any(c in text for c in "*?["):
                found.append(text)
                continue
            fs, pattern = _fsspec().core.url_to_fs(text, **(options or {}))
            matches = sorted(fs.unstrip_protocol(match) for match in fs.glob(pattern) if fs.isfile(match))
        elif os.path.isfile(text) or not glob.has_magic(text):
            # A name that exists is meant as it is, even if it looks like a pattern.
            matches = [text] if os.path.exists(text) else []
            if os.path.isdir(text):
                raise IsADirectoryError(
                    f"{text} is a folder; write {os.path.join(text, '*')} for the files in it"
                )
        else:
            matches = sorted(match for match in glob.glob(text, recursive=True) if os.path.isfile(match))
        if not matches:
            raise FileNotFoundError(f"no file matches {os.fspath(path)}")
        found += matches
    return found


def compression_of(path: str, compression: str | None) -> str | None:
    """The name of a file's compression, or None."""
    if compression is None:
        return None
    if compression == "infer":
        return _ENDINGS.get(os.path.splitext(path)[1].lower())
    if compression not in _NAMES:
        raise ValueError(
            f"compression is {compression!r}; it must be 'infer', None, or one of {', '.join(_NAMES)}"
        )
    return _NAMES[compression]


def _zstd(raw: BinaryIO, mode: str) -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]

        return zstd.ZstdFile(raw, mode)
    except ImportError:
        pass
    try:
        import zstandard  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise ImportError("zstd needs Python 3.14 or the package zstandard; pip install zstandard") from error
    if mode == "rb":
        return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=False)
    return zstandard.ZstdCompressor().stream_writer(raw, closefd=False)


def _decompressing(raw: BinaryIO, compression: str | None, mode: str) -> Any:
    """The stream of what is in a compressed stream, or the other way round."""
    if compression is None:
        return raw
    if compression == "gzip":
        import gzip

        # No time of writing: the same elements make the same file.
        return gzip.GzipFile(fileobj=raw, mode=mode, filename="", mtime=0)
    if compression == "bz2":
        import bz2

        return bz2.BZ2File(raw, "wb") if mode == "wb" else bz2.BZ2File(raw)
    if compression in ("xz", "lzma"):
        import lzma

        kind = lzma.FORMAT_ALONE if compression == "lzma" and mode == "wb" else None
        return lzma.LZMAFile(raw, mode, format=kind)
    if compression == "zip":
        import zipfile

        if mode == "wb":
            raise ValueError("zip archives can be read but not written; use gzip, bz2, xz or zstd")
        archive = zipfile.ZipFile(raw)
        return archive.open(archive.infolist()[0])
    return _zstd(raw, mode)


@contextlib.contextmanager
def open_binary(path: str, compression: str | None, options: dict[str, Any] | None) -> Iterator[Any]:
    """A file's bytes, decompressed."""
    with contextlib.ExitStack() as stack:
        opened = _fsspec().open(path, "rb", **(options or {})) if is_url(path) else open(path, "rb")  # noqa: SIM115
        raw = stack.enter_context(opened)
        stream = _decompressing(raw, compression, "rb")
        if stream is not raw:
            stack.enter_context(stream)
        yield stream


def size_of_file(path: str, options: dict[str, Any] | None) -> int:
    """A file's bytes as stored."""
    if is_url(path):
        fs, name = _fsspec().core.url_to_fs(path, **(options or {}))
        return int(fs.size(name))
    return os.stat(path).st_size


def targets(path: Any, count: int, name_function: Callable[[int], str] | None) -> list[str]:
    """The files that `count` partitions are written to."""
    if not isinstance(path, (str, os.PathLike)):
        paths = [local(p) for p in path]
        if len(paths) != count:
            raise ValueError(
                f"{len(paths)} paths were given for {count} partitions; there must be one for each"
            )
    else:
        pattern = local(path)
        if "*" not in pattern:
            pattern = pattern.rstrip("/") + "/*.part"
        if pattern.count("*") > 1:
            raise ValueError(f"{os.fspath(path)!r} has several '*'; one stands for the partition's name")
        width = len(str(count - 1))
        names = [name_function(i) if name_function else str(i).zfill(width) for i in range(count)]
        if names != sorted(names):
            warnings.warn(
                "the names that name_function gives are not in the partitions' order, so read_text will read them in another",
                stacklevel=4,
            )
        paths = [pattern.replace("*", name) for name in names]
    if len(set(paths)) < count:
        raise ValueError(
            "two partitions would be written to the same file; name_function must give different names"
        )
    return paths


@contextlib.contextmanager
def writing(path: str, compression: str | None, options: dict[str, Any] | None) -> Iterator[Any]:
    """A stream into a file that is there under its name only when all is written."""
    if is_url(path):
        with _fsspec().open(path, "wb", **(options or {})) as raw, _closing(raw, compression) as stream:
            yield stream
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with open(temporary, "xb") as raw, _closing(raw, compression) as stream:
            yield stream
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def _closing(raw: Any, compression: str | None) -> Iterator[Any]:
    if compression is None:
        yield raw
        return
    with _decompressing(raw, compression, "wb") as stream:
        yield stream


def cut(file: Any, size: int, blocksize: int, delimiter: bytes) -> list[tuple[int, int]]:
    """Blocks of about `blocksize` bytes of an open file, each ending with a delimiter, except the last perhaps."""
    count = max(1, size // blocksize)
    ends = [0]
    for i in range(1, count):
        end = _after_delimiter(file, max(size * i // count, ends[-1]), size, delimiter)
        if end > ends[-1]:
            ends.append(end)
    if ends[-1] < size or size == 0:
        ends.append(size)
    return list(pairwise(ends))


def _after_delimiter(file: Any, position: int, size: int, delimiter: bytes) -> int:
    """The first place at or after `position` that follows a delimiter, or the file's end."""
    start = max(position - len(delimiter), 0)
    file.seek(start)
    seen = b""
    step = 1 << 12
    while chunk := file.read(step):
        seen += chunk
        found = seen.find(delimiter)
        if found >= 0:
            return start + found + len(delimiter)
        # Only what may be the beginning of a delimiter is looked at again.
        kept = len(delimiter) - 1
        start += len(seen) - kept
        seen = seen[len(seen) - kept :]
        step = 1 << 16
    return size


def text_lines(text: str, delimiter: str) -> list[str]:
    """The pieces of a text that end with a delimiter, and what is left."""
    pieces = text.split(delimiter)
    last = pieces.pop()
    lines = [piece + delimiter for piece in pieces]
    return [*lines, last] if last else lines
