"""What a bag consists of before it is tasks: partitions, and the steps that wait to be run on them.

A *stage* is a row of partitions. It either has *sources* (a file to read, a list, the result of a task), or is
another stage and one *step* more. Nothing of it is a task yet. Tasks are made when somebody computes, and then all
steps between two places where partitions are needed as such become one task a partition, however many steps there
are.

Which places those are is a question of who is alive: a stage that two other stages (or results) were derived from
becomes tasks of its own, so that work they share is done once; a stage with one successor is run inside the
successor's task. A stage whose tasks exist keeps them.

A stage remembers the annotations (`pantile.annotate`) that were in force when it was built, and its tasks have these,
whatever is in force when somebody computes. One task has one set of annotations, so steps with different ones are not
run in the same task: a function is not tried again, nor sent to another process, because its neighbour may be. Two
things have nobody's function in them and join what uses them: a source without annotations, and steps that are run
for the first few elements only, whose task has all annotations of its steps (the later wins).

Not here: what steps do (`steps.py`), and how tasks run (`pantile.compute`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pantile
from pantile.annotations import current, exactly
from pantile.bag.native import is_native, run_native

if TYPE_CHECKING:
    from pantile.bag.steps import Step

__all__ = ["Call", "Chain", "Part", "Shared", "Source", "Stage", "materialise", "settle", "to_list", "where"]

_PACKAGE = __file__.rsplit("/", 1)[0]


class Source:
    """Something that gives a partition's elements inside the task that uses them, such as a file to read."""

    __slots__ = ()

    # Whether two users of the same partition should share one task that loads it.
    costly = True

    def describe(self) -> str:
        """Where the elements come from, if that is a place that can be named."""
        return ""

    def load(self) -> Any:
        """The elements: a list, a native sequence, or an iterator."""
        raise NotImplementedError

    def head(self) -> Iterable[Any]:
        """The elements for somebody who wants only the first few."""
        return self.load()


class Literal(Source):
    """Elements that are there already."""

    __slots__ = ("elements",)
    costly = False

    def __init__(self, elements: Any) -> None:
        self.elements = elements

    def load(self) -> Any:
        # A list of its own for each task: a user's function may sort or empty what it gets.
        return self.elements.copy() if type(self.elements) is list else self.elements

    def head(self) -> Iterable[Any]:
        return self.elements


class Lazy(Protocol):
    """What becomes a task when it is needed."""

    @property
    def task(self) -> Any:
        """The task, or None as long as there is none."""

    def needs(self) -> Iterable[Lazy]:
        """What has to be a task before this can be one."""

    def make(self) -> None:
        """Makes the task."""


def materialise(wanted: Sequence[Lazy]) -> list[Any]:
    """The tasks of `wanted`, made in an order in which each finds its inputs made; deep graphs need no deep stack."""
    stack = list(reversed(wanted))
    while stack:
        lazy = stack[-1]
        if lazy.task is None:
            missing = [n for n in lazy.needs() if n.task is None]
            if missing:
                stack += reversed(missing)
                continue
            lazy.make()
        stack.pop()
    return [lazy.task for lazy in wanted]


class Shared:
    """A task that several partitions use, such as a delayed argument that is the same for all of them."""

    __slots__ = ("task",)

    def __init__(self, task: Any) -> None:
        self.task = task

    def needs(self) -> Iterable[Lazy]:
        return ()

    def make(self) -> None:
        raise AssertionError("it has a task from the beginning")


class Call:
    """A function of tasks' results, not yet a task: the nodes of reduction trees."""

    __slots__ = ("annotations", "function", "inputs", "task")

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Lazy]) -> None:
        self.function = function
        self.inputs = tuple(inputs)
        self.task: Any = None
        self.annotations = current() or None
        _count_users(self.inputs, 1)

    def __del__(self) -> None:
        _count_users(self.inputs, -1)

    def needs(self) -> Iterable[Lazy]:
        return self.inputs

    def make(self) -> None:
        # A list, so that a function of many parts has one argument.
        with exactly(self.annotations):
            self.task = pantile.delayed(self.function, pure=False)([i.task for i in self.inputs])

    def __reduce__(self) -> Any:
        return (_restore_call, (self.function, self.inputs, self.annotations))


class Part:
    """One partition of a stage."""

    __slots__ = ("index", "stage")

    def __init__(self, stage: Stage, index: int) -> None:
        self.stage = stage
        self.index = index

    @property
    def task(self) -> Any:
        return self.stage.tasks.get(self.index)

    def needs(self) -> Iterable[Lazy]:
        return self.stage.needs(self.index)

    def make(self) -> None:
        self.stage.make(self.index)


class Stage:
    """A row of partitions: sources, or another stage with one step more.

    Parameters
    ----------
    label : str
        What a user sees.
    sources : sequence of Source or Lazy, optional
        One a partition, if this is where partitions come from.
    parent, step : Stage and Step, optional
        Otherwise.
    extras : sequence of Stage or Shared
        What the step needs besides the parent's partition: the partition of another stage, or a task's result.
    """

    __slots__ = (
        "__weakref__",
        "annotations",
        "count",
        "extras",
        "label",
        "parent",
        "sources",
        "step",
        "tasks",
        "users",
    )

    def __init__(
        self,
        label: str,
        sources: Sequence[Source | Lazy] | None = None,
        parent: Stage | None = None,
        step: Step | None = None,
        extras: Sequence[Stage | Shared] = (),
    ) -> None:
        self.label = label
        self.parent = parent
        self.step = step
        self.extras = tuple(extras)
        self.sources = tuple(sources) if sources is not None else ()
        self.count: int = parent.count if parent is not None else len(self.sources)
        self.tasks: dict[int, Any] = {}
        self.annotations = current() or None
        # How many living stages were derived from this one. It decides what is fused, never what comes out.
        self.users = 0
        _count_users((parent, *self.extras, *self.sources), 1)

    def __del__(self) -> None:
        _count_users((self.parent, *self.extras, *self.sources), -1)

    def then(self, label: str, step: Step, extras: Sequence[Stage | Shared] = ()) -> Stage:
        """This stage with one step more."""
        return Stage(label, parent=self, step=step, extras=extras)

    def parts(self) -> list[Part]:
        """The partitions, as what other things can need."""
        return [Part(self, i) for i in range(self.count)]

    def _chain(self, index: int) -> tuple[Stage, list[Stage]]:
        """The stages that are run in one task, last first, and the stage before them."""
        stages: list[Stage] = []
        stage = self
        # Who takes a few elements wants them without the rest, shared or not.
        alone = stage.step is not None and stage.step.takes_few
        while stage.parent is not None:
            apart = index in stage.tasks or stage.users > 1 or not _same(stage.annotations, self.annotations)
            if stage is not self and not alone and apart:
                break
            stages.append(stage)
            stage = stage.parent
        return stage, stages

    def _starts_from_task(self, index: int, stages: list[Stage]) -> bool:
        """Whether the stages of a chain begin with this stage's partition as a task, and not with its source."""
        if self.parent is not None:
            return True
        source = self.sources[index]
        if not stages or not isinstance(source, Source):
            return False
        alone = stages[0].step is not None and stages[0].step.takes_few
        # Without annotations of its own it is read by the task of whoever needs it.
        differs = self.annotations is not None and not _same(self.annotations, stages[0].annotations)
        return not alone and source.costly and (index in self.tasks or self.users > 1 or differs)

    def needs(self, index: int) -> list[Lazy]:
        """What has to be a task before partition `index` can be one."""
        base, stages = self._chain(index)
        found: list[Lazy] = []
        if base._starts_from_task(index, stages):
            found.append(Part(base, index))
        elif not isinstance(source := base.sources[index], Source):
            found.append(source)
        for stage in stages:
            found += (Part(e, index) if isinstance(e, Stage) else e for e in stage.extras)
        return found

    def make(self, index: int) -> None:
        """Makes partition `index` a task."""
        base, stages = self._chain(index)
        if base._starts_from_task(index, stages):
            start: Any = base.tasks[index]
        else:
            source = base.sources[index]
            start = source if isinstance(source, Source) else source.task
            if not stages and not isinstance(source, Source):
                self.tasks[index] = start
                return
        stages.reverse()
        extras: list[Any] = []
        slots: list[int] = []
        for stage in stages:
            slots.append(len(extras))
            extras += (e.tasks[index] if isinstance(e, Stage) else e.task for e in stage.extras)
        steps = [s.step for s in stages if s.step is not None]
        chain = Chain(index, steps, slots, stages[-1].label if stages else self.label, self._origin(index))
        annotations = self.annotations
        if self.step is not None and self.step.takes_few:
            said = [base.annotations, *(s.annotations for s in stages)]
            annotations = {key: value for each in said if each for key, value in each.items()} or None
        with exactly(annotations):
            self.tasks[index] = pantile.delayed(chain, pure=False)(start, *extras)

    def _origin(self, index: int) -> str:
        """Where a partition's elements come from, if that is a place that can be named."""
        stage = self
        while stage.parent is not None:
            stage = stage.parent
        source = stage.sources[index]
        return source.describe() if isinstance(source, Source) else ""

    def __reduce__(self) -> Any:
        # Flat, so that pickling a long chain does not recurse; tasks are made again where it is unpickled.
        stages: list[Stage] = []
        stage = self
        while stage.parent is not None:
            stages.append(stage)
            stage = stage.parent
        steps = [(s.label, s.step, s.extras, s.annotations) for s in reversed(stages)]
        return (_restore, (stage.label, stage.sources, stage.annotations, steps))


def _count_users(inputs: Iterable[Any], change: int) -> None:
    """Tells the stages among the inputs that they have one user more or less."""
    stages = {i.stage if isinstance(i, Part) else i for i in inputs if isinstance(i, (Part, Stage))}
    for stage in stages:
        stage.users += change


def _same(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    """Whether two sets of annotations are equal."""
    if one is other:
        return True
    try:
        return bool(one == other)
    except Exception:  # values that cannot be compared, such as arrays
        return False


def _restore(label: str, sources: Any, annotations: dict[str, Any] | None, steps: Any) -> Stage:
    stage = Stage(label, sources)
    stage.annotations = annotations
    for name, step, extras, of_step in steps:
        stage = stage.then(name, step, extras)
        stage.annotations = of_step
    return stage


def _restore_call(function: Callable[..., Any], inputs: Any, annotations: dict[str, Any] | None) -> Call:
    call = Call(function, inputs)
    call.annotations = annotations
    return call


class Chain:
    """The steps of one task, called with what the partition begins with and the steps' other inputs."""

    __slots__ = ("__name__", "index", "origin", "slots", "steps")

    def __init__(
        self, index: int, steps: Sequence[Step], slots: Sequence[int], label: str, origin: str = ""
    ) -> None:
        self.index = index
        self.steps = tuple(steps)
        self.slots = tuple(slots)
        self.origin = origin
        self.__name__ = label

    def __call__(self, start: Any, *extras: Any) -> Any:
        try:
            value = start
            if isinstance(start, Source):
                # Who takes only the first elements should not read a whole file.
                value = start.head() if any(s.takes_few for s in self.steps) else start.load()
            done = 0
            if is_native(value):
                done, value = run_native(self.steps, value)
            for step, slot in zip(self.steps[done:], self.slots[done:], strict=True):
                value = step.run(value, self.index, extras[slot:])
            return settle(value)
        except Exception as error:
            self._explain(error)
            raise

    def _explain(self, error: Exception) -> None:
        """Notes which step of which partition failed, and the line that asked for it."""
        place = f"while computing partition {self.index} of a bag" + (
            f" ({self.origin})" if self.origin else ""
        )
        codes = set()
        traceback = error.__traceback__
        while traceback is not None:
            codes.add(traceback.tb_frame.f_code)
            traceback = traceback.tb_next
        for step in self.steps:
            function = step.function
            while isinstance(function, partial):
                function = function.func
            if getattr(function, "__code__", None) in codes:
                error.add_note(f"{place}, in {step.label}, called at {step.line}")
                return
        names = ", ".join(f"{step.label}, called at {step.line}" for step in self.steps)
        error.add_note(place + (f", in one of: {names}" if names else ""))


def settle(value: Any) -> Any:
    """A task's result from what its last step gave: iterators, also as elements, become lists."""
    if isinstance(value, Iterator):
        value = list(value)
    if type(value) in (list, tuple) and value and isinstance(value[0], Iterator):
        value = [list(v) if isinstance(v, Iterator) else v for v in value]
    return value


def to_list(value: Any) -> list[Any]:
    """A partition as a list, which is its own where it is one."""
    if type(value) is list:
        return value
    if hasattr(value, "tolist"):
        plain = value.tolist()
        return plain if isinstance(plain, list) else [plain]
    return list(value)


def where() -> str:
    """The line outside this package that called into it."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
