"""Console: a progress bar with ETA, loss terms and views per second; plain lines where there is no terminal."""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import timedelta

from pydantic import Field
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Column

import simssl
from simssl.api import Result, RunInfo, StepsDone, Subject, Tracker

LOOK = 0.5
"""Seconds between two looks at how far the training is."""
RECENT = 30.0
"""Seconds over which the speed is measured."""


class ConsoleTracker(Tracker):
    """Progress on standard error: steps, share, time left and views per second, whatever `log_every` is."""

    class Params(simssl.Params):
        seconds: float = Field(10.0, gt=0)
        "Least time between two lines where standard error is not a terminal."

    def started(self, run: RunInfo) -> None:
        self.run = run
        self.console = Console(stderr=True, highlight=False)
        self.begun = time.perf_counter()
        self.printed = self.begun
        self.terms = ""
        self.bar: Progress | None = None
        self.over = threading.Event()
        self.watch: threading.Thread | None = None
        if 0 < run.start_step < run.steps:
            self._print(f"goes on after step {run.start_step:,} of {run.steps:,}")

    def follow(self, steps_done: StepsDone) -> None:
        self.steps_done = steps_done
        self.pace = Pace(self.run.start_step, time.perf_counter())
        self.lock = threading.Lock()
        if self.console.is_terminal:
            self._start_bar()
        self.watch = threading.Thread(target=self._look_on, name="console", daemon=True)
        self.watch.start()

    def _start_bar(self) -> None:
        rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        columns = [BarColumn(bar_width=16), TaskProgressColumn()]
        for field in ("left", "steps", "rate"):
            column = Column(no_wrap=True)
            columns.append(TextColumn(f"{{task.fields[{field}]}}", markup=False, table_column=column))
        columns.append(TextColumn("{task.fields[terms]}", markup=False, table_column=rest))
        self.bar = Progress(*columns, console=self.console, transient=True, expand=True, auto_refresh=False)
        self.task: TaskID = self.bar.add_task("training", total=self.run.steps, left="", steps="", rate="", terms="")
        self.bar.start()
        self._show()

    def _look_on(self) -> None:
        """Show how far the training is, until it is over. If nobody can be shown anything, stop."""
        try:
            while not self.over.wait(LOOK):
                self._show()
        except (OSError, ValueError):  # the stream is closed
            return

    def _show(self) -> None:
        """Draw the bar, or print a line if it is time for one."""
        with self.lock:
            step = self.steps_done()
            now = time.perf_counter()
            self.pace.add(step, now)
            if self.bar:
                self._draw(self.bar, step, now)
            elif now - self.printed >= self.params.seconds and step < self.run.steps:
                self.printed = now
                self._print_line(step, now)

    def _draw(self, bar: Progress, step: int, now: float) -> None:
        bar.update(
            self.task,
            completed=step,
            left=_duration(self.pace.left(self.run.steps, now)),
            steps=f"{step:,}/{self.run.steps:,}",
            rate=self._speed(self.pace.rate),
            terms=self.terms,
            refresh=True,
        )

    def _print_line(self, step: int, now: float) -> None:
        steps = self.run.steps
        left = self.pace.left(steps, now)
        parts = [f"step {step:,}/{steps:,} {step / steps:.0%}"]
        if self.terms:
            parts.append(self.terms)
        if left is not None:
            parts += [self._speed(self.pace.rate), f"{_duration(left)} left"]
        self._print("  ".join(parts))

    def _speed(self, rate: float | None) -> str:
        return "" if rate is None else f"{rate * self.run.views_per_step:,.0f} views/s"

    def logged(self, step: int, terms: dict[str, float]) -> None:
        self.terms = _words(terms)
        if self.watch and not self.bar:
            self._show()

    def trained(self, step: int) -> None:
        self._stop()
        taken = step - self.run.start_step
        if taken:
            seconds = time.perf_counter() - self.begun
            self._print(f"trained in {seconds:.1f} s, {self._speed(taken / seconds)}  {self.terms}")

    def evaluated(self, result: Result, subject: Subject) -> None:
        of_no_target = {name: metric for name, metric in result.metrics.items() if "/" not in name}
        summary = of_no_target or result.metrics
        values = [f"{name} {metric.value:.4g}" for name, metric in summary.items()]
        values += [f"{name} skipped" for name in result.skipped if "/" not in name]
        self._print(f"{result.evaluator}: {'  '.join(values)}")

    def ended(self, error: BaseException | None) -> None:
        self._stop()

    def _stop(self) -> None:
        """Stop looking on, and take the bar away."""
        self.over.set()
        if self.watch:
            self.watch.join()
            self.watch = None
        if self.bar:
            self.bar.stop()
            self.bar = None

    def _print(self, text: str) -> None:
        self.console.print(f"  {text}", soft_wrap=True, markup=False)


class Pace:
    """The recent speed of a training, from the steps that were done at several moments, in seconds."""

    def __init__(self, step: int, now: float) -> None:
        self._seen = deque([(now, step)])
        self._warm = False

    def add(self, step: int, now: float) -> None:
        """Note that so many steps are done. What lies far back is forgotten, and the slow first steps at once."""
        if step > self._seen[-1][1]:
            self._seen.append((now, step))
        if len(self._seen) == 3 and not self._warm:
            self._warm = True
            self._seen.popleft()
        while len(self._seen) > 2 and now - self._seen[1][0] > RECENT:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """The steps of a second, or None as long as no step is done."""
        if len(self._seen) < 2:
            return None
        begin, first = self._seen[0]
        end, last = self._seen[-1]
        return (last - first) / max(end - begin, 1e-9)

    def left(self, steps: int, now: float) -> float | None:
        """The seconds until `steps` are done, or None as long as no step is done."""
        if self.rate is None:
            return None
        seen_at, step = self._seen[-1]
        return max(0.0, (steps - step) / self.rate - (now - seen_at))


def _words(terms: dict[str, float]) -> str:
    """The loss and its terms. A loss of one term alone is told once, by the term's name."""
    told = dict(terms)
    if "loss" in told and list(told.values()).count(told["loss"]) == 2:
        del told["loss"]
    return "  ".join(f"{name} {value:.4g}" for name, value in told.items())


def _duration(seconds: float | None) -> str:
    """Hours, minutes and seconds, as in 0:02:21."""
    return "-:--:--" if seconds is None else str(timedelta(seconds=round(seconds)))


@simssl.hookimpl
def simssl_tracker() -> type[Tracker]:
    return ConsoleTracker
