"""What a benchmark is: a piece of work, the libraries that can do it, and the limit that Pantile must keep.

A case is data. It measures nothing itself and imports none of the libraries: a variant's function imports what it needs,
inside the one process that runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ratio:
    """At most ``factor`` times the median time of ``peer``."""

    peer: str
    factor: float

    def seconds(self, medians: Mapping[str, float]) -> float | None:
        """The limit in seconds, or None when the peer was not measured."""
        return self.factor * medians[self.peer] if self.peer in medians else None

    def __str__(self) -> str:
        return f"{self.factor:g} × {self.peer}"


@dataclass(frozen=True)
class Seconds:
    """At most so many seconds, whatever the others need."""

    limit_s: float

    def seconds(self, medians: Mapping[str, float]) -> float | None:
        """The limit in seconds."""
        return self.limit_s

    def __str__(self) -> str:
        return f"{self.limit_s:g} s"


@dataclass(frozen=True)
class Over:
    """At most ``extra_s`` seconds more than ``peer``."""

    peer: str
    extra_s: float

    def seconds(self, medians: Mapping[str, float]) -> float | None:
        """The limit in seconds, or None when the peer was not measured."""
        return medians[self.peer] + self.extra_s if self.peer in medians else None

    def __str__(self) -> str:
        return f"{self.peer} + {self.extra_s * 1e3:g} ms"


@dataclass(frozen=True)
class Bytes:
    """At most so much physical memory, at the peak of any timed run, by the process that was asked.

    All that the process holds counts, the interpreter and its modules too, but no worker process of its own.
    """

    limit_bytes: int

    def __str__(self) -> str:
        return f"{self.limit_bytes / 1e9:g} GB"


Limit = Ratio | Seconds | Over | Bytes
Run = Callable[[], Any]
Setup = Callable[[Mapping[str, Any]], Run]


@dataclass
class Case:
    """One promise.

    Attributes
    ----------
    name : the word for ``--only``.
    title : the work, as the table prints it.
    limits : what Pantile must keep; all of them. None at all, and the row is shown and not judged.
    group : the heading under which the picture shows it.
    full, quick : parameters of the work, given to every variant; ``quick`` is for the tests.
    rtol : how closely the variants' answers must agree.
    atol : the same, absolutely.
    budget_s : after so many seconds a variant is not repeated again (though it is timed twice at least, or once
        if its warm-up alone has taken longer).
    variants : name of the library to a function that makes the data and returns what is to be timed.
    prepare : makes files that all variants read; called once, in a process of its own.
    summary : turns a run's result into the few numbers that are compared; not timed.
    expected : the right answer where mathematics knows it, checked beside the variants against each other.
    """

    name: str
    title: str
    limits: tuple[Limit, ...]
    full: Mapping[str, Any]
    quick: Mapping[str, Any]
    group: str = "Arrays"
    rtol: float = 1e-9
    atol: float = 0.0
    repeats: int = 7
    budget_s: float = 25.0
    variants: dict[str, Setup] = field(default_factory=dict)
    prepare: Callable[[Mapping[str, Any]], None] | None = None
    summary: Callable[[Any], list[float]] = lambda result: [float(result)]
    expected: list[float] | None = None

    def variant(self, name: str) -> Callable[[Setup], Setup]:
        """Decorator: the function it marks does this case's work with the library ``name``."""

        def register(setup: Setup) -> Setup:
            if name in self.variants:
                raise ValueError(f"benchmark {self.name!r} has two variants called {name!r}")
            self.variants[name] = setup
            return setup

        return register
