"""The training of a run to its end, and the state that it leaves."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from simssl.errors import Interrupted, LostProcessError, UserError
from simssl.store import checkpoint
from simssl.store.checkpoint import State
from simssl.store.environment import Record, now
from simssl.store.folder import RunFolder
from simssl.training.build import BuiltRun
from simssl.training.machine.precision import computed_in
from simssl.training.machine.spinning import Spinning
from simssl.training.records.estimate import Estimates
from simssl.training.records.trackers import Trackers
from simssl.training.stop import Stop
from simssl.training.trainer import Trainer
from simssl.training.watch import Measure, undisturbed
from simssl.training.weights import restore_weights

logger = logging.getLogger("simssl")


def train(
    trainer: Trainer,
    trackers: Trackers,
    stop: Stop,
    estimates: Estimates | None = None,
    measure: Measure | None = None,
) -> None:
    """Train the run to the end, from where it stands. `estimates` says what it will take.

    `measure` is called after the steps at which the experiment measures it. It is needed if there are any.

    RunError if a loss or a weight is not finite; the last good checkpoint stays. Interrupted on a signal, when the
    state is saved.
    """
    built = trainer.built
    if built.steps:
        trackers.follow(trainer.finished)
    estimates = estimates or Estimates(lambda text: None)
    estimates.begin(built.experiment.objective.name)
    _tell_of_groups(built)
    try:
        with stop.deferred():
            _take_steps(trainer, trackers, stop, estimates, measure)
    except LostProcessError:
        raise  # the device may wait for the other one without end
    except Exception:
        with suppress(RuntimeError):  # a device that has failed repeats its error
            trainer.records.require_finite(trainer.step)  # RunError if a loss is not, which the error follows from
        raise
    finally:
        trainer.release()
    _finish(trainer)


def _take_steps(
    trainer: Trainer, trackers: Trackers, stop: Stop, estimates: Estimates, measure: Measure | None
) -> None:
    """Take the steps that are left, with what belongs to each: records, checkpoints, measurements and signals."""
    steps = trainer.built.steps
    _measure_if_due(trainer, stop, estimates, measure)
    while not trainer.over:
        trainer.train_step()
        trainer.log_and_save(trackers)
        measured = _measure_if_due(trainer, stop, estimates, measure)
        estimates.done(trainer.finished(), steps, trainer.watch.left(trainer.step))
        signum = stop.asked(trainer.step, last=trainer.over or measured)
        if signum is not None:
            trainer.save()
            raise _saved(trainer, signum)
    if steps:
        trainer.records.take_rest(trainer.step, trackers)
        trackers.trained(trainer.step)


def _finish(trainer: Trainer) -> None:
    """Give the objective the weights that are kept, or fit it if it is not trained, and save it as done."""
    built = trainer.built
    if not built.objective.trained:
        batches = built.views.plain_batches(trainer.images_NCHW, built.device)
        built.objective.fit(batches, built.generator)
    selected = trainer.watch.selected
    if selected is not None:
        logger.info(selected.said(trainer.step))
        selected.put_back(trainer.objective)
    trainer.done = True
    trainer.save()


def _measure_if_due(trainer: Trainer, stop: Stop, estimates: Estimates, measure: Measure | None) -> bool:
    """Measure the run if it is time, take note of the number by which it selects, and return whether it was time.

    A signal meanwhile ends the measurement at once. It is made when the run goes on. So is one that has failed.
    """
    watch = trainer.watch
    if measure is None or not watch.due(trainer.step):
        return False
    trainer.records.require_finite(trainer.step)
    begun = time.perf_counter()
    try:
        with stop.at_once(), undisturbed(trainer.objective, trainer.device):
            number = measure(trainer.step)
    except Interrupted as error:
        trainer.save()
        raise _saved(trainer, error.signum) from error
    except LostProcessError:
        raise
    except Exception:
        _save_steps(trainer)
        raise
    seconds = time.perf_counter() - begun
    trainer.stood_still(seconds)
    estimates.measured(seconds)
    watch.measured = trainer.step
    if number is not None and watch.selected is not None:
        watch.selected.take(trainer.step, number, trainer.objective)
    return True


def _save_steps(trainer: Trainer) -> None:
    """Save the steps before a measurement that has failed, if there are any."""
    if trainer.step:
        with suppress(RuntimeError):  # a device that has failed repeats its error
            trainer.save()


def _saved(trainer: Trainer, signum: int) -> Interrupted:
    """The end of a training on a signal, when its state is saved."""
    return Interrupted(signum, f"{trainer.folder.path} is saved after step {trainer.step}")


def _tell_of_groups(built: BuiltRun) -> None:
    """Say what groups the views come from."""
    positives = built.experiment.positives
    if positives is None or built.groups is None or not built.steps:
        return
    if built.images_each == 1:
        name = built.experiment.objective.name
        logger.info(f"{name} takes one view of an image: 'positives' changes nothing of its training")
    else:
        logger.info(built.groups.said(positives.share, built.images_per_step))


@contextmanager
def training_recorded(record: Record, trainer: Trainer, spinning: Spinning) -> Iterator[None]:
    """Write down when the training begins, and, once it has come to its end, what it took."""
    precision = computed_in(trainer.settings.precision, trainer.device)
    record.add("training", precision, started=now())
    yield
    seconds = round(trainer.seconds, 3)
    beside_others = round(spinning.short_seconds, 3)
    selected = trainer.watch.selected
    facts = selected.facts(trainer.step) if selected else {}
    record.add("training", precision, ended=now(), seconds=seconds, beside_others=beside_others, **facts)


def trained_state(folder: RunFolder) -> State:
    """Return the state of a finished run. UserError if it is not finished."""
    state = checkpoint.load_state(folder.checkpoint)
    if state is None:
        raise UserError(f"{folder.path} has no checkpoint.pt; `simssl run` trains it anew")
    if not state["done"]:
        raise UserError(f"{folder.path} is not trained to the end; `simssl run` goes on with it")
    return state


def restore_trained(built: BuiltRun, folder: RunFolder) -> int:
    """Give the objective the weights of a finished run, and return its steps. UserError if it is not finished."""
    state = trained_state(folder)
    restore_weights(built, folder, state)
    built.objective.eval()
    return int(state["step"])
