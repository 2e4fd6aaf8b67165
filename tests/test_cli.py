"""The commands as a user meets them: exit codes, one sentence an error, no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]
Write = Callable[..., Path]


def test_run_ends_with_a_table_and_a_record(simssl: Command, small: Write) -> None:
    import json

    import yaml

    result = simssl("run", small(grid={"objective": [{"name": "random"}, {"name": "simclr"}], "seed": [0, 1]}))
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert sum(line.split()[:1] in (["random"], ["simclr"]) for line in lines) == 2
    assert "mean±standard error over 2 runs each" in result.stdout
    runs = sorted(Path("runs/small").iterdir())
    assert [run.name.rsplit("-", 1)[0] for run in runs] == [
        "random-seed0",
        "random-seed1",
        "simclr-seed0",
        "simclr-seed1",
    ]
    record = json.loads((runs[0] / "environment.json").read_text())
    environment = record["training"]
    assert environment["plugins"]["objective random"].startswith("simssl ")
    assert {"first_started", "started", "ended", "seconds", "beside_others"} == environment["times"].keys()
    assert {"first_started", "started", "ended"} == record["measurement"]["times"].keys()
    assert {"torch", "numpy"} <= environment["libraries"].keys()
    assert environment["threads"] >= 1
    assert yaml.safe_load((runs[0] / "experiment.yaml").read_text())["seed"] == 0


def test_the_same_seed_twice_is_bit_equal(simssl: Command, small: Write) -> None:
    for runs in ("a", "b"):
        simssl("run", small(), "--runs", runs)
    first, second = (next(Path(runs).rglob("metrics.json")).read_bytes() for runs in ("a", "b"))
    assert first == second


def test_check_says_how_many_runs(simssl: Command, small: Write) -> None:
    result = simssl("check", small(grid={"seed": [0, 1, 2]}))
    not_looked_at = "the data were not looked at; `simssl run` does so before it trains\n"
    assert (result.exit_code, result.stdout) == (0, f"{small()} is right: 3 runs\n{not_looked_at}")
    assert not Path("runs").exists()


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("content", ["", "a: 1\na: 2\n", "a: [", "name: x\ntraning: 1\n", "\x00"])
def test_a_wrong_file_exits_with_2(command: str, content: str, simssl: Command, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(content)
    result = simssl(command, file)
    assert result.exit_code == 2
    assert all(line.startswith(f"{file}:") for line in result.stderr.splitlines())
    assert not Path("runs").exists()


def test_a_missing_file_and_a_folder_exit_with_2(simssl: Command, tmp_path: Path) -> None:
    for path in ("nowhere.yaml", tmp_path):
        result = simssl("check", path)
        assert result.exit_code == 2
        assert "cannot be read" in result.stderr


def test_an_unwritable_run_folder_is_said_and_left_alone(simssl: Command, small: Write) -> None:
    Path("runs").write_text("a file of mine")
    result = simssl("run", small())
    assert result.exit_code == 2
    assert "the run folder" in result.stderr
    assert "--runs" in result.stderr
    assert "Traceback" not in result.stderr
    assert Path("runs").read_text() == "a file of mine"


def test_damaged_metrics_are_said_and_left_alone(simssl: Command, small: Write) -> None:
    simssl("run", small())
    (file,) = Path("runs").rglob("metrics.json")
    file.write_text("{")
    result = simssl("run", small())
    assert result.exit_code == 1
    assert f"{file} cannot be read" in result.stderr
    assert file.read_text() == "{"


def test_cuda_that_is_not_there_is_said(simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = simssl("run", small(), "--device", "cuda")
    assert result.exit_code == 2
    assert "no CUDA device was found" in result.stderr


FAILING = """
    import torch

    import simssl
    from simssl.api import Objective, Posterior, Terms

    class Failing(Objective):
        '''Raises at its third step.'''
        views = ("random",)

        def __init__(self, params, context):
            super().__init__(params, context)
            self.encoder = context.encoder(context.latent_dim)
            self.steps = 0

        def forward(self, x_BJCHW, index_B, generator):
            self.steps += 1
            if self.steps == 3:
                raise RuntimeError("it broke")
            return Terms({"loss_term": self.encoder(x_BJCHW[:, 0]).square().mean()})

        def posterior(self, x_BCHW):
            return Posterior(self.encoder(x_BCHW))

    @simssl.hookimpl
    def simssl_objective():
        return Failing
"""


def test_a_failed_run_does_not_stop_the_others(simssl: Command, small: Write, package: Callable[..., Path]) -> None:
    package("failing-dist", "failing_objective", FAILING, objective="failing")
    file = small(grid={"objective": [{"name": "failing"}, {"name": "random"}]})
    result = simssl("run", file)
    assert result.exit_code == 1
    assert "RuntimeError: it broke" in result.stderr
    assert "failing_objective.py:" in result.stderr
    assert "Traceback" not in result.stderr
    assert "random" in result.stdout
    assert "Traceback" in simssl("--debug", "run", file).stderr


def test_show_tells_type_default_range_and_meaning(simssl: Command) -> None:
    text = simssl("show", "objective", "simvae").stdout
    assert text.startswith("objective simvae, of simssl ")
    assert "  sigma2: number > 0, default 0.15" in text
    assert "Variance of the latents around their shared mean psi. Source: the paper's release." in text
    assert "  gamma2: number > 0 or empty, empty by default" in text
    assert "  psi: gaussian | uniform, default" in text


def test_show_of_an_unknown_plugin_suggests(simssl: Command) -> None:
    result = simssl("show", "objective", "simvea")
    assert result.exit_code == 2
    assert "did you mean 'simvae'?" in result.stderr


@pytest.mark.parametrize(
    "words", [[], ["run"], ["check"], ["evaluate"], ["encode"], ["report"], ["plugins"], ["show"], ["schema"]]
)
def test_every_command_has_help(words: list[str], simssl: Command) -> None:
    result = simssl(*words, "--help")
    assert result.exit_code == 0
    assert "Usage: simssl" in result.stdout


def test_the_data_folder_comes_from_the_environment(
    simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from simssl.plugin.registry import Registry

    Registry().load("dataset", "mnist").example(tmp_path / "elsewhere")
    monkeypatch.setenv("SIMSSL_DATA", str(tmp_path / "elsewhere"))
    evaluators = [{"name": "knn", "k": 1}]
    assert simssl("run", small(dataset={"name": "mnist"}, evaluators=evaluators)).exit_code == 0
