"""Settings: what they are, where they come from, how to change them.

=================================  ==============================================================================
name                               meaning and default
=================================  ==============================================================================
``num_threads``                    threads of a run; all CPUs that affinity and cgroup allow
``memory_limit``                   most bytes the process may hold while a run lasts, such as ``"1GB"``; 75 % of
                                   what the host or the cgroup allows
``executor``                       ``"threads"``; ``"sync"``: one thread, for debugging; ``"processes"``
``retries``                        how often a failed call of a Python function is tried again; 0
``spill_dir``                      folder for blocks that do not fit; the system's temporary folder
``cache_dir``                      folder for compiled kernels, which later processes then load; None: not kept
``array.chunk_size``               bytes of a block where chunks are ``"auto"``; ``"16MiB"``
``delayed_pure``                   whether equal delayed calls are one where nothing else is said; False
``tokenize.ensure_deterministic``  whether `pantile.tokenize` refuses what other processes cannot know; False
=================================  ==============================================================================

A value comes from the first of these places that has one:

1. code: `set`, for good or for a ``with`` block;
2. the environment: ``PANTILE_NUM_THREADS``; a dot in a name is two underscores, as in ``PANTILE_ARRAY__CHUNK_SIZE``;
3. files that end in ``.yaml``, ``.yml`` or ``.json``, in the folders that `paths` gives; the last file wins;
4. the default.

Files and environment are read when a setting is first asked for, and again by `refresh`. A bad value is a ``ValueError``
that names the variable or the file, and so is an unknown name in a file. Hyphens in names count as underscores.

Settings are the process's: all threads see a change, also one made by ``with config.set(...)`` in another thread. Where such
blocks of several threads overlap for one setting, each puts back what it found, so what is left depends on the order in which
they end. What should differ between threads or coroutines is an annotation (`pantile.annotate`).

Why 16 MiB: a kernel spends milliseconds on such a block, a thousand times what its task costs to schedule, and eight threads
with four blocks each hold half a gigabyte. Larger blocks would save nothing more; smaller ones make matrix products slower.

Not here: what a setting does. Runs ask for it (``_run.py``), others where they need it.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

__all__ = ["collect", "format_bytes", "get", "parse_bytes", "paths", "refresh", "set", "settings"]

_UNSET: Any = object()

_UNITS = {"": 1, "B": 1}
for _power, _prefix in enumerate("KMGTP", start=1):
    _UNITS[_prefix] = _UNITS[_prefix + "B"] = 1000**_power
    _UNITS[_prefix + "IB"] = 1024**_power


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


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no number of times; it must be an integer from 0 on")
    return value


def _size(value: Any) -> int:
    count = parse_bytes(value)
    if count == 0:
        raise ValueError(f"{value!r} is no size to work with: it must be above zero")
    return count


def _executor(value: Any) -> str:
    if value not in EXECUTORS:
        raise ValueError(
            f"{value!r} is no executor; choose {', '.join(map(repr, EXECUTORS[:-1]))} or {EXECUTORS[-1]!r}"
        )
    return str(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither True nor False")
    return value


def _folder(value: Any) -> str:
    text = os.fspath(value)
    if not isinstance(text, str) or not text:
        raise ValueError(f"{value!r} is no folder")
    return text


def _cache_folder(value: Any) -> str | None:
    """A folder that can be written to, made if need be: a run would otherwise compile each time, and nobody would know."""
    if value is None:
        return None
    text = os.path.abspath(os.path.expanduser(_folder(value)))
    try:
        os.makedirs(text, exist_ok=True)
        usable = os.access(text, os.R_OK | os.W_OK | os.X_OK)
    except OSError as error:
        raise ValueError(
            f"{value!r} cannot be used as a folder for compiled kernels: {error.strerror}"
        ) from None
    if not usable:
        raise ValueError(f"{value!r} cannot be used as a folder for compiled kernels: it is not writable")
    return text


def _default_limit() -> int:
    from pantile import _native

    return _native.default_memory() * 3 // 4


def _default_threads() -> int:
    from pantile import _native

    return _native.default_threads()


def _default_folder() -> str:
    # What `tempfile.gettempdir` looks at first. Importing that takes longer than the first small computation.
    for variable in ("TMPDIR", "TEMP", "TMP"):
        folder = os.environ.get(variable)
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return os.path.abspath(folder)
    if os.path.isdir("/tmp") and os.access("/tmp", os.W_OK | os.X_OK):
        return "/tmp"
    import tempfile

    return tempfile.gettempdir()


class _Setting:
    """One row of the table: what checks a value, what gives the default, its environment variable."""

    def __init__(self, name: str, check: Callable[[Any], Any], default: Callable[[], Any]) -> None:
        self.variable = _PREFIX + name.upper().replace(".", "__")
        self.check = check
        self.default = default


EXECUTORS = ("threads", "sync", "processes")
_PREFIX = "PANTILE_"
# Variables that say where to look, and are no settings.
_FILES = "PANTILE_CONFIG"
_SYSTEM_FILES = "PANTILE_ROOT_CONFIG"

_SETTINGS: dict[str, _Setting] = {
    name: _Setting(name, check, default)
    for name, check, default in [
        ("num_threads", _threads, _default_threads),
        ("memory_limit", _size, _default_limit),
        ("executor", _executor, lambda: "threads"),
        ("retries", _count, lambda: 0),
        ("spill_dir", _folder, _default_folder),
        ("cache_dir", _cache_folder, lambda: None),
        ("array.chunk_size", _size, lambda: 16 << 20),
        ("delayed_pure", _truth, lambda: False),
        ("tokenize.ensure_deterministic", _truth, lambda: False),
    ]
}

_lock = threading.RLock()
# What code has set.
# Always this dictionary. The extension looks into it and into `_cache` where it cannot afford a call (`delayed_pure`).
_values: dict[str, Any] = {}
# What the environment and files say, once somebody has asked; None before. Replaced as a whole, never changed.
_outside: dict[str, Any] | None = None
# Everything that was asked for and is not in `_values`. Replaced by an empty one when it is no longer true.
_cache: dict[str, Any] = {}


def _canonical(name: str) -> str:
    """The name of a setting as the table has it."""
    if name in _SETTINGS:
        return name
    same = name.replace("-", "_") if isinstance(name, str) else name
    if same in _SETTINGS:
        return same
    raise KeyError(f"there is no setting {name!r}; {_suggestion(str(same), _SETTINGS)}")


def _suggestion(name: str, names: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    # People leave the first part out, too.
    close = [n for n in names if n.endswith("." + name)] or get_close_matches(name, names, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else f"there are {', '.join(names)}"


def _checked(name: str, value: Any, where: str) -> Any:
    try:
        return _SETTINGS[name].check(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from None


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of settings as `get` would give them, for what takes the place of a setting in one call."""
    return {name: _checked(name, value, name) for name, value in values.items()}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested mappings."""
    for name, value in values.items():
        whole = prefix + str(name)
        if isinstance(value, Mapping):
            yield from _flat(value, whole + ".")
        else:
            yield whole, value


# ---- outside: files and the environment ----


def paths() -> list[str]:
    """The folders and files that settings are read from; later ones win.

    Returns
    -------
    list of str
        ``/etc/pantile`` (or what ``PANTILE_ROOT_CONFIG`` names), ``etc/pantile`` of the Python installation or virtual
        environment, ``~/.config/pantile``, and last what ``PANTILE_CONFIG`` names, a file or a folder. They need not exist.

    Examples
    --------
    >>> from pantile import config
    >>> any(path.endswith("/.config/pantile") for path in config.paths())
    True
    """
    found = [
        os.environ.get(_SYSTEM_FILES) or "/etc/pantile",
        os.path.join(sys.prefix, "etc", "pantile"),
        os.path.join(sys.exec_prefix, "etc", "pantile"),
        os.path.join(os.path.expanduser("~"), ".config", "pantile"),
    ]
    if chosen := os.environ.get(_FILES):
        found.append(os.path.expanduser(chosen))
    # Of what is named twice, the last place counts.
    return list(reversed(dict.fromkeys(reversed(found))))


_ENDINGS = (".yaml", ".yml", ".json")


def _files(places: Sequence[str]) -> Iterator[str]:
    for place in places:
        if os.path.isdir(place):
            names = sorted(os.listdir(place)) if os.access(place, os.R_OK | os.X_OK) else []
            yield from (os.path.join(place, name) for name in names if name.lower().endswith(_ENDINGS))
        elif os.path.exists(place):
            yield place
        elif place == os.path.expanduser(os.environ.get(_FILES) or ""):
            raise ValueError(f"{_FILES} names {place!r}, which does not exist")


def _parse(path: str) -> dict[str, Any]:
    """The settings in a file, checked."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except PermissionError:
        # An administrator's file that is not meant for this user should not stop the user.
        warnings.warn(f"the settings in {path!r} are not used: no permission to read them", stacklevel=2)
        return {}
    except (OSError, UnicodeError) as error:
        raise ValueError(f"cannot read the settings in {path!r}: {error}") from None
    content: Any
    if path.lower().endswith(".json"):
        import json

        try:
            content = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{path!r} is no valid JSON: {error}") from None
    else:
        try:
            import yaml
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                f"the settings in {path!r} cannot be read, since PyYAML is not installed: install pyyaml, or write "
                "them as JSON in a file that ends in .json",
                name="yaml",
            ) from None
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"{path!r} is no valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ValueError(f"{path!r} must hold names and values, not a {type(content).__name__}")
    found = {}
    for name, value in _flat(content):
        try:
            known = _canonical(name)
        except KeyError as error:
            raise ValueError(f"{path!r}: {error.args[0]}") from None
        found[known] = _checked(known, value, f"{path!r}: {known}")
    return found


_WORDS = {"none": None, "null": None, "true": True, "false": False}


def _literal(text: str) -> Any:
    """The value that a text is in Python's spelling, else the text."""
    stripped = text.strip()
    if stripped.lower() in _WORDS:
        return _WORDS[stripped.lower()]
    if stripped[:1] not in "0123456789+-([{'\"":
        return text
    import ast

    try:
        return ast.literal_eval(stripped)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _variables(env: Mapping[str, str]) -> dict[str, Any]:
    """The settings in environment variables, checked."""
    found = {}
    variables = {setting.variable: name for name, setting in _SETTINGS.items()}
    for variable, text in env.items():
        if not variable.startswith(_PREFIX) or not text:
            continue
        if (name := variables.get(variable)) is not None:
            check = _SETTINGS[name].check
            try:
                found[name] = check(_literal(text))
            except (ValueError, TypeError):
                # The message shows the text as it was written; `007` is no literal, but may be a number here.
                found[name] = _checked(name, text, variable)
        elif variable.replace("__", "_") in (known := {v.replace("__", "_"): v for v in variables}):
            raise ValueError(f"{variable}: did you mean {known[variable.replace('__', '_')]}?")
    return found


def collect(places: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What files and the environment say, without using it.

    Parameters
    ----------
    places : sequence of str, optional
        Folders and files; those that `paths` gives.
    env : mapping, optional
        Environment variables; the process's.

    Returns
    -------
    dict
        Names and checked values; those of the environment win.

    Raises
    ------
    ValueError
        A bad value, an unknown name in a file, a file that cannot be read.
    ModuleNotFoundError
        There is a YAML file, and PyYAML is not installed.

    Examples
    --------
    >>> from pantile import config
    >>> config.collect([], {"PANTILE_ARRAY__CHUNK_SIZE": "1MiB"})
    {'array.chunk_size': 1048576}
    """
    found: dict[str, Any] = {}
    for path in _files(paths() if places is None else places):
        found.update(_parse(path))
    found.update(_variables(os.environ if env is None else env))
    return found


def refresh() -> None:
    """Reads files and environment again. What code has set stays set.

    Raises
    ------
    ValueError, ModuleNotFoundError
        As for `collect`; then nothing is changed.

    Examples
    --------
    >>> from pantile import config
    >>> config.refresh()
    """
    global _outside, _cache
    with _lock:
        _outside = collect()
        _cache = {}


def _from_outside() -> dict[str, Any]:
    global _outside
    if _outside is None:
        with _lock:
            if _outside is None:
                _outside = collect()
    return _outside


# ---- asking and setting ----


def is_set(name: str) -> bool:
    """Whether a setting was chosen by the user: in code, in the environment or in a file."""
    name = _canonical(name)
    return name in _values or name in _from_outside()


def get(name: str, default: Any = _UNSET) -> Any:
    """The value of a setting.

    Parameters
    ----------
    name : str
        One of the names in the table of this module.
    default : any object, optional
        The result where there is no such setting, for code that has to work with several versions.

    Returns
    -------
    int, str, bool or None
        Sizes are in bytes.

    Raises
    ------
    KeyError
        There is no such setting.
    ValueError
        The environment or a file holds a bad value.

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
    # A refresh meanwhile replaces this dictionary; then what is stored here is forgotten with it.
    cache = _cache
    value = cache.get(name, _UNSET)
    if value is not _UNSET:
        return value
    try:
        known = _canonical(name)
    except KeyError:
        if default is _UNSET:
            raise
        return default
    if known != name:
        return get(known)
    value = _from_outside().get(name, _UNSET)
    if value is _UNSET:
        value = _SETTINGS[name].default()
    cache[name] = value
    return value


class set:
    """Changes settings, for good or within a ``with`` block.

    Parameters
    ----------
    values : mapping, optional
        Names and values, also nested; needed for names with a dot.
    **named
        Names and values; two underscores stand for a dot.

    Raises
    ------
    KeyError
        There is no such setting.
    ValueError
        A bad value; then nothing is changed.

    Notes
    -----
    Settings are the process's, see above.

    Examples
    --------
    >>> from pantile import config
    >>> with config.set(executor="sync", array__chunk_size="1MB"):
    ...     config.get("executor"), config.get("array.chunk_size")
    ('sync', 1000000)
    """

    def __init__(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        given = dict(_flat(values or {}))
        given.update(_flat({name.replace("__", "."): value for name, value in named.items()}))
        new = {}
        for name, value in given.items():
            known = _canonical(name)
            new[known] = _checked(known, value, known)
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
