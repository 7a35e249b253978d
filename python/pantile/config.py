"""Settings: what they are, where they come from, how to change them.

======================  ==========================  =====================================================================
name                    environment                 meaning and default
======================  ==========================  =====================================================================
``num_threads``         ``PANTILE_NUM_THREADS``     threads of a run; all CPUs that affinity and cgroup allow
``memory_limit``        ``PANTILE_MEMORY_LIMIT``    most bytes a run may hold, such as ``"1GB"``; 75 % of what the
                                                    host or the cgroup allows
``executor``            ``PANTILE_EXECUTOR``        ``"threads"``, or ``"sync"``: one thread, for debugging
``spill_dir``           ``PANTILE_SPILL_DIR``       folder for blocks that do not fit; the system's temporary folder
``array.chunk_size``    ``PANTILE_ARRAY_CHUNK_SIZE``  bytes of a block where chunks are ``"auto"``; ``"16MiB"``
======================  ==========================  =====================================================================

The environment is read when a setting is first asked for, and a bad value is a ``ValueError`` that names the variable.

Why 16 MiB: a kernel spends milliseconds on such a block, a thousand times what its task costs to schedule, and eight threads
with four blocks each hold half a gigabyte. Larger blocks would save nothing more; smaller ones make matrix products slower.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

__all__ = ["format_bytes", "get", "parse_bytes", "set", "settings"]

_UNITS = {"": 1, "B": 1}
for _power, _prefix in enumerate("KMGTP", start=1):
    _UNITS[_prefix] = _UNITS[_prefix + "B"] = 1000**_power
    _UNITS[_prefix + "IB"] = 1024**_power

_UNSET = object()


def parse_bytes(text: str | int | float) -> int:
    """A number of bytes from a size such as ``"1GB"`` (10⁹), ``"64 MiB"`` (2²⁰) or a plain number.

    Parameters
    ----------
    text : str, int or float
        The size; units are B, KB to PB (powers of 1000) and KiB to PiB (powers of 1024), in any case.

    Returns
    -------
    int
        Bytes.

    Examples
    --------
    >>> from pantile.config import parse_bytes
    >>> parse_bytes("1.5GB"), parse_bytes("64 MiB"), parse_bytes(1000)
    (1500000000, 67108864, 1000)
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        if not 0 <= text < 2**63:
            raise ValueError(f"{text!r} is no size: it must be between 0 and 2**63 bytes")
        return int(text)
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]*)\s*", str(text))
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError(f"{text!r} is no size; write, for example, '1GB', '64MiB' or 1000000")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def format_bytes(count: float) -> str:
    """A number of bytes for people, in powers of 1024.

    Parameters
    ----------
    count : float
        Bytes.

    Returns
    -------
    str
        Three digits and a unit.

    Examples
    --------
    >>> from pantile.config import format_bytes
    >>> format_bytes(1536), format_bytes(80_000_000)
    ('1.50 KiB', '76.3 MiB')
    """
    if abs(count) < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        count /= 1024
        if abs(count) < 999.5 or unit == "PiB":
            break
    digits = 2 if abs(count) < 9.995 else 1 if abs(count) < 99.95 else 0
    return f"{count:.{digits}f} {unit}"


def _threads(value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdigit() or not 1 <= int(text) <= 4096:
        raise ValueError(f"{value!r} is no number of threads; it must be between 1 and 4096")
    return int(text)


def _size(value: Any) -> int:
    count = parse_bytes(value)
    if count == 0:
        raise ValueError(f"{value!r} is no size to work with: it must be above zero")
    return count


def _executor(value: Any) -> str:
    if value not in ("threads", "sync"):
        raise ValueError(f"{value!r} is no executor; choose 'threads' or 'sync'")
    return str(value)


def _folder(value: Any) -> str:
    text = os.fspath(value)
    if not isinstance(text, str) or not text:
        raise ValueError(f"{value!r} is no folder")
    return text


def _default_limit() -> int:
    from pantile import _native

    return _native.default_memory() * 3 // 4


def _default_threads() -> int:
    from pantile import _native

    return _native.default_threads()


def _default_folder() -> str:
    import tempfile

    return tempfile.gettempdir()


class _Setting:
    """One row of the table: its environment variable, what checks a value, what gives the default."""

    def __init__(self, variable: str, check: Callable[[Any], Any], default: Callable[[], Any]) -> None:
        self.variable = variable
        self.check = check
        self.default = default


_SETTINGS: dict[str, _Setting] = {
    "num_threads": _Setting("PANTILE_NUM_THREADS", _threads, _default_threads),
    "memory_limit": _Setting("PANTILE_MEMORY_LIMIT", _size, _default_limit),
    "executor": _Setting("PANTILE_EXECUTOR", _executor, lambda: "threads"),
    "spill_dir": _Setting("PANTILE_SPILL_DIR", _folder, _default_folder),
    "array.chunk_size": _Setting("PANTILE_ARRAY_CHUNK_SIZE", _size, lambda: 16 << 20),
}
_values: dict[str, Any] = {}
_cache: dict[str, Any] = {}
_lock = threading.Lock()


def _setting(name: str) -> _Setting:
    try:
        return _SETTINGS[name]
    except KeyError:
        raise KeyError(f"there is no setting {name!r}; there are {', '.join(_SETTINGS)}") from None


def _checked(setting: _Setting, value: Any, where: str) -> Any:
    try:
        return setting.check(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from None


def is_set(name: str) -> bool:
    """Whether a setting was chosen by the user, in code or in the environment."""
    setting = _setting(name)
    return name in _values or bool(os.environ.get(setting.variable))


def get(name: str) -> Any:
    """The value of a setting.

    Parameters
    ----------
    name : str
        One of the names in the table of this module.

    Returns
    -------
    int or str
        Sizes are in bytes.

    Raises
    ------
    KeyError
        There is no such setting.
    ValueError
        The environment holds a bad value.

    Examples
    --------
    >>> from pantile import config
    >>> with config.set({"array.chunk_size": "1MiB"}):
    ...     config.get("array.chunk_size")
    1048576
    """
    value = _values.get(name, _UNSET)
    if value is not _UNSET:
        return value
    value = _cache.get(name, _UNSET)
    if value is not _UNSET:
        return value
    setting = _setting(name)
    text = os.environ.get(setting.variable)
    value = _checked(setting, text, setting.variable) if text else setting.default()
    _cache[name] = value
    return value


class set:
    """Changes settings, for good or within a ``with`` block.

    Parameters
    ----------
    values : mapping, optional
        Names and values; needed for names with a dot.
    **named
        Names and values.

    Raises
    ------
    KeyError
        There is no such setting.
    ValueError
        A bad value; then nothing is changed.

    Examples
    --------
    >>> from pantile import config
    >>> with config.set(executor="sync", num_threads=1):
    ...     config.get("executor")
    'sync'
    """

    def __init__(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        new = {
            name: _checked(_setting(name), value, name) for name, value in {**(values or {}), **named}.items()
        }
        with _lock:
            self._before = {name: _values.get(name, _UNSET) for name in new}
            _values.update(new)

    def __enter__(self) -> set:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _lock:
            for name, value in self._before.items():
                if value is _UNSET:
                    _values.pop(name, None)
                else:
                    _values[name] = value


def settings() -> dict[str, Any]:
    """Every setting and its present value.

    Returns
    -------
    dict
        Names and values.

    Examples
    --------
    >>> from pantile import config
    >>> sorted(config.settings())[0]
    'array.chunk_size'
    """
    return {name: get(name) for name in _SETTINGS}
