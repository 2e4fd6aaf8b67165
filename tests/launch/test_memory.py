"""Memory: what a run no longer needs is given back, and memory that does not suffice is told in one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from simssl.errors import lack_of_memory

Command = Callable[..., Result]
Write = Callable[..., Path]

GREEDY = """
    import simssl
    import torch
    from simssl.api import Evaluator, Metric, Objective, Result
    from simssl_plugins.objectives.vae import Vae

    class Greedy(Vae):
        def {where}(self, *arguments, **named):
            return torch.empty(10**15)

    class Measuring(Evaluator):
        '''Wants more than there is.'''
        def run(self, subject):
            return torch.empty(10**15)

    @simssl.hookimpl
    def simssl_objective():
        return Greedy

    @simssl.hookimpl
    def simssl_evaluator():
        return Measuring
"""

ON_CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.15 GiB of which 12.50 MiB is "
    "free. Including non-PyTorch memory, this process has 79.12 GiB memory in use."
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError(ON_CUDA), "out of memory: 20.00 MiB were asked for, and 12.50 MiB were free"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), "out of memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), "out of memory"),
        (MemoryError(), "out of memory"),
        (RuntimeError("CUDA error: operation not permitted when stream is capturing"), None),
        (ValueError("the word out of memory"), None),
    ],
)
def test_memory_that_ran_out_is_known_by_its_error(error: Exception, words: str | None) -> None:
    assert lack_of_memory(error) == words


@pytest.mark.parametrize(
    "allocate",
    [lambda: torch.empty(10**15), lambda: __import__("numpy").empty(10**15, "float32"), lambda: [0] * 10**15],
)
def test_every_allocator_of_this_machine_says_what_was_asked_for(allocate: Callable[[], object]) -> None:
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        allocate()
    words = lack_of_memory(caught.value)
    assert words
    if str(caught.value):  # Python's own says nothing
        assert re.fullmatch(r"out of memory: 3[.,][\d.]+ [TP]iB were asked for, and [\d.]+ [MG]iB were free", words)


@pytest.mark.parametrize("where", ["forward", "posterior"])
def test_training_without_memory_ends_the_run_in_one_sentence(
    where: str, simssl: Command, small: Write, package: Callable[..., Path]
) -> None:
    """The runs after it are trained all the same."""
    package("greedy-dist", "greedy", GREEDY.format(where=where), objective="greedy")
    file = small(grid={"objective": [{"name": "greedy"}, {"name": "vae"}]})
    result = simssl("run", file)
    if where == "posterior":  # tried when the run is built
        assert result.exit_code == 2
        assert "objective 'greedy' cannot be built: out of memory: 3,638.0 TiB were asked for, and " in result.stderr
        return
    assert result.exit_code == 1
    sentences = [line for line in result.stderr.splitlines() if line.startswith("  failed: ")]
    assert len(sentences) == 1
    assert sentences[0].startswith("  failed: out of memory: 3,638.0 TiB were asked for, and ")
    assert sentences[0].endswith(
        " were free; make training.batch_views smaller (it is 60), or let fewer runs train at a time (--jobs)"
    )
    assert "vae" in result.stdout


def test_an_evaluator_without_memory_is_told_and_spares_the_others(
    simssl: Command, small: Write, package: Callable[..., Path]
) -> None:
    package("greedy-dist", "greedy", GREEDY.format(where="forward"), evaluator="measuring")
    result = simssl("run", small(evaluators=[{"name": "knn"}, {"name": "measuring"}]))
    assert result.exit_code == 1
    assert "failed: evaluator 'measuring' failed: out of memory: 3,638.0 TiB were asked for, and " in result.stderr
    assert "were free; let fewer runs work at a time (--jobs)\n" in result.stderr
    assert next(Path("runs").rglob("metrics.json")).read_text().count("knn/class/accuracy") == 1


LOOKING = """
    import gc

    import simssl
    from simssl.api import Evaluator, Metric, Result
    from simssl.training.trainer import Trainer

    class Looking(Evaluator):
        '''Counts what is left of the training.'''
        def run(self, subject):
            objects = gc.get_objects()
            trainers = sum(type(thing) is Trainer for thing in objects)
            gradients = sum(p.grad is not None for p in subject._objective.parameters())
            return Result({"left": Metric(float(trainers + gradients), "1")}, protocol={"split": "test"})

    @simssl.hookimpl
    def simssl_evaluator():
        return Looking
"""


def test_evaluators_have_the_memory_of_the_training(
    simssl: Command, small: Write, package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer is gone, with its images and the optimiser's state, and so are gradients; what torch keeps of them is
    given back, and once more after each run."""
    package("looking-dist", "looking", LOOKING, evaluator="looking")
    emptied: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append("cache"))
    file = small(evaluators=[{"name": "looking"}], grid={"seed": [0, 1]})
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    for metrics in Path("runs").rglob("metrics.json"):
        assert '"value": 0.0' in metrics.read_text()
    assert len(emptied) >= 4


def test_encoding_without_memory_is_told(simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    assert simssl("run", small(evaluators=[])).exit_code == 0
    (run,) = Path("runs/small").iterdir()

    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError(ON_CUDA)

    monkeypatch.setattr("simssl.evaluation.encode.encode", refuse)
    result = simssl("encode", run, "digits", "-o", "out.npz")
    assert result.exit_code == 1
    assert result.stderr == (
        "out of memory: 20.00 MiB were asked for, and 12.50 MiB were free; end what else takes memory, or give another "
        "--device\n"
    )
