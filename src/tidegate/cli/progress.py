"""Shows on stderr how far long work is: live bars on a terminal, a line every few seconds in a pipe."""

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.cli.show import duration, remark
from tidegate.workflows.mirror.tempo import Tempo

LINE_SECONDS = 3.0
"""How often a pipe gets a line."""


class Step(NamedTuple):
    """How far one resource is: `total` None: not known yet."""

    name: str
    objects: int
    total: int | None = None
    done: bool = False
    error: str = ""


Tell = Callable[[Step], None]


@contextmanager
def shown(*, alike: bool = True) -> Generator[Tell]:
    """Takes steps from any thread and shows them; what is left is printed when the block ends. `alike`: all steps count
    the same sort of thing, so that they can be added up.
    """
    if sys.stderr.isatty():
        with _bars() as tell:
            yield tell
        return
    lines = Lines(alike=alike)
    try:
        yield lines.tell
    finally:
        lines.close()


class Speed:
    """Objects of a resource a second, of late; Rich forgets its own whenever the total is corrected."""

    def __init__(self, began: float, first: int) -> None:
        self._tempo = Tempo()
        self._tempo.take(first, began)
        self.rate = 0.0

    def take(self, step: Step, now: float) -> str:
        """The rate, and until the end about how long it will take, for people."""
        self.rate = self._tempo.take(step.objects, now) or self.rate
        left = (step.total or step.objects) - step.objects
        shown = f"{self.rate:,.0f}/s" if self.rate else ""
        return f"{shown}, {duration(left / self.rate)} left" if self.rate and left > 0 and not step.done else shown


@contextmanager
def _bars() -> Generator[Tell]:
    """One bar per resource, with its count, objects a second and the time that is left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TextColumn("{task.fields[count]:>9,}"),
        TextColumn("{task.fields[state]}"),
        TextColumn("{task.fields[speed]}", style="dim"),
    )
    tasks: dict[str, tuple[TaskID, Speed]] = {}
    lock = threading.Lock()
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=8) as progress:

        def tell(step: Step) -> None:
            with lock:
                now = time.monotonic()
                if step.name not in tasks:
                    new = progress.add_task(step.name, total=None, count=0, state="", speed="")
                    tasks[step.name] = new, Speed(now, 0 if step.done else step.objects)
                task, speed = tasks[step.name]
                state = "[red]failed[/]" if step.error else "[green]done[/]" if step.done else "…"
                total = max(1, step.objects) if step.done else step.total
                completed = total if step.done else step.objects  # an empty resource is done as well
                progress.update(
                    task, completed=completed, total=total, count=step.objects, state=state, speed=speed.take(step, now)
                )

        yield tell


@dataclass(slots=True)
class Lines:
    """Plain progress: one line every few seconds, one for each resource that ends."""

    clock: Callable[[], float] = time.monotonic
    say: Callable[[str], None] = remark
    alike: bool = True
    _began: float = field(default=0.0, init=False)
    _said: float = field(default=0.0, init=False)
    _steps: dict[str, Step] = field(default_factory=dict[str, Step], init=False)
    _ended: set[str] = field(default_factory=set[str], init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _tempo: Tempo = field(default_factory=Tempo, init=False)

    def __post_init__(self) -> None:
        self._began = self._said = self.clock()
        self._tempo.take(0, self._began)

    def tell(self, step: Step) -> None:
        """Takes a step and prints what is worth a line."""
        with self._lock:
            self._steps[step.name] = step
            now = self.clock()
            if (step.done or step.error) and step.name not in self._ended:
                self._ended.add(step.name)
                self.say(f"{step.name}: {step.error}" if step.error else f"{step.name}: {step.objects:,} done")
            elif now - self._said >= LINE_SECONDS:
                self._said = now
                self.say(self._summary(now))

    def close(self) -> None:
        """The last line: how much in how long."""
        with self._lock:
            if self._steps and self.alike:
                self.say(self._summary(self.clock()))

    def _summary(self, now: float) -> str:
        if not self.alike:
            return ", ".join(_place(step) for step in self._steps.values() if not step.done)
        elapsed = max(now - self._began, 0.001)
        count = sum(step.objects for step in self._steps.values())
        rate = count / elapsed
        parts = [f"{count:,} objects in {duration(elapsed)}", f"{rate:,.0f}/s"]
        open_steps = [step for step in self._steps.values() if not step.done and not step.error]
        left = sum((step.total or step.objects) - step.objects for step in open_steps)
        if open_steps and left and (pace := self._tempo.take(count, now) or rate):
            parts.append(f"about {duration(left / pace)} left")
        if open_steps:
            parts.append("reading " + ", ".join(_place(step) for step in open_steps))
        return "; ".join(parts)


def _place(step: Step) -> str:
    return f"{step.name} {step.objects:,}" + (f" of about {step.total:,}" if step.total else "")
