"""What the extension can do with partitions, and how it is told.

A partition that was read by the extension is `Strings` or `Values`: sequences without Python objects in them. As long
as the steps that follow have a native form, they are run on it in one go, without Python's lock. A function has a
native form only if it is exactly one that is known (`json.loads`, `str.split`, `len`); nothing is guessed from names
or code. What turns out not to be native while it runs, because of an element that only Python can have, is done again
in Python from the same partition.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Sequence
from types import MethodDescriptorType
from typing import TYPE_CHECKING, Any

from pantile import _native

if TYPE_CHECKING:
    from pantile.bag.steps import Step

__all__ = ["is_native", "run_native", "spec_of"]

Spec = tuple[Any, ...]

# By identity: a function that replaced one of these under its name is not it.
_NAMED = {
    id(json.loads): "json.loads",
    id(json.dumps): "json.dumps",
    id(len): "len",
    id(int): "int",
    id(float): "float",
}


def is_native(value: Any) -> bool:
    """Whether a partition is one of the extension's own sequences."""
    return isinstance(value, (_native.Strings, _native.Values))


def spec_of(function: Any, arguments: Sequence[Any]) -> Spec | None:
    """How the extension calls a function with an element and these arguments, or None if it does not know it."""
    if id(function) in _NAMED and not arguments:
        return (_NAMED[id(function)],)
    if type(function) is MethodDescriptorType and function.__objclass__ is str:
        return ("str_unbound", function.__name__, *arguments)
    if arguments:
        return None
    if type(function) is operator.methodcaller:
        # With keywords it reduces to something else than itself and its arguments.
        reduced: Any = function.__reduce__()
        return ("str", *reduced[1]) if reduced[0] is operator.methodcaller else None
    if type(function) is operator.itemgetter:
        items: Any = function.__reduce__()
        keys = items[1]
        return ("pluck", keys[0]) if len(keys) == 1 else ("pluck", list(keys))
    return None


def _accepted(spec: Spec) -> bool:
    """Whether the extension has this step with these arguments; asked with no element."""
    try:
        _native.bag_apply([spec], _native.bag_lines(b""))
    except _native.NotNative:
        return False
    return True


def run_native(steps: Sequence[Step], part: Any) -> tuple[int, Any]:
    """Runs as many of the first steps as have a native form: how many, and what came out."""
    specs: list[Spec] = []
    for step in steps:
        spec = step.native()
        if spec is None or not _accepted(spec):
            break
        specs.append(spec)
    try:
        if len(specs) < len(steps):
            value = steps[len(specs)].finish(part, specs)
            if value is not NotImplemented:
                return len(specs) + 1, value
        return (len(specs), _native.bag_apply(specs, part)) if specs else (0, part)
    except _native.NotNative:
        return 0, part
