"""Console: a progress bar with ETA, loss terms and views per second; plain lines where there is no terminal."""

from __future__ import annotations

import time

from pydantic import Field
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

import simssl
from simssl.api import Result, RunInfo, Subject, Tracker


class ConsoleTracker(Tracker):
    """Progress on standard error."""

    class Params(simssl.Params):
        seconds: float = Field(10.0, gt=0)
        "Least time between two lines where standard error is not a terminal."

    def started(self, run: RunInfo) -> None:
        self.run = run
        self.console = Console(stderr=True, highlight=False)
        self.begun = time.perf_counter()
        self.printed = self.begun
        self.bar: Progress | None = None
        if run.start_step:
            self._print(f"goes on after step {run.start_step:,} of {run.steps:,}")
        if self.console.is_terminal and run.start_step < run.steps:
            self._start_bar()

    def _start_bar(self) -> None:
        rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self.bar = Progress(
            BarColumn(bar_width=16),
            TaskProgressColumn(),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[rate]}", markup=False, table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[terms]}", markup=False, table_column=rest),
            console=self.console,
            transient=True,
            expand=True,
        )
        self.task: TaskID = self.bar.add_task(
            "training", total=self.run.steps, completed=self.run.start_step, rate="", terms=""
        )
        self.bar.start()

    def logged(self, step: int, terms: dict[str, float]) -> None:
        now = time.perf_counter()
        steps = self.run.steps
        views = (step - self.run.start_step) * self.run.views_per_step
        rate = views / (now - self.begun)
        speed = f"{rate:,.0f} views/s"
        if self.bar:
            self.bar.update(self.task, completed=step, rate=speed, terms=_terms(terms))
        elif now - self.printed >= self.params.seconds and step < steps:
            self.printed = now
            left = (steps - step) * self.run.views_per_step / rate
            done = f"step {step:,}/{steps:,} {step / steps:.0%}"
            self._print(f"{done}  {_terms(terms)}  {speed}  {left:.0f} s left")
        if step == steps:
            self._stop_bar()
            self._print(f"trained in {now - self.begun:.1f} s, {speed}  {_terms(terms)}")

    def evaluated(self, result: Result, subject: Subject) -> None:
        of_no_target = {name: metric for name, metric in result.metrics.items() if "/" not in name}
        summary = of_no_target or result.metrics
        values = [f"{name} {metric.value:.4g}" for name, metric in summary.items()]
        values += [f"{name} skipped" for name in result.skipped if "/" not in name]
        self._print(f"{result.evaluator}: {'  '.join(values)}")

    def ended(self, error: BaseException | None) -> None:
        self._stop_bar()

    def _stop_bar(self) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None

    def _print(self, text: str) -> None:
        self.console.print(f"  {text}", soft_wrap=True, markup=False)


def _terms(terms: dict[str, float]) -> str:
    """The terms of the loss, one after the other."""
    return "  ".join(f"{name} {value:.4g}" for name, value in terms.items())


@simssl.hookimpl
def simssl_tracker() -> type[Tracker]:
    return ConsoleTracker
