"""TensorBoard: each term of the loss, each metric, the pictures; `tensorboard --logdir runs` shows them."""

from __future__ import annotations

import yaml
from torch.utils.tensorboard import SummaryWriter

import simssl
from simssl.api import Result, RunInfo, Subject, Tracker


class TensorBoardTracker(Tracker):
    """Events in the run's folder. A run that goes on after a kill writes each step once."""

    def started(self, run: RunInfo) -> None:
        self.run = run
        unfinished = run.start_step < run.steps
        self.writer = SummaryWriter(str(run.directory), purge_step=run.start_step + 1 if unfinished else None)
        if run.start_step == 0:
            settings = yaml.safe_dump(dict(run.settings), sort_keys=False)
            self.writer.add_text("experiment", "".join(f"    {line}\n" for line in settings.splitlines()))

    def logged(self, step: int, terms: dict[str, float]) -> None:
        for name, value in terms.items():
            self.writer.add_scalar(f"training/{name}", value, step)

    def evaluated(self, result: Result, subject: Subject) -> None:
        for name, metric in result.metrics.items():
            self.writer.add_scalar(f"{result.evaluator}/{name}", metric.value, self.run.steps)
        for name, picture in result.images.items():
            self.writer.add_image(f"{result.evaluator}/{name}", picture, self.run.steps)

    def ended(self, error: BaseException | None) -> None:
        self.writer.close()


@simssl.hookimpl
def simssl_tracker() -> type[Tracker]:
    return TensorBoardTracker
