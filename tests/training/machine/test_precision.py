"""What a step computes in, and what is said where the device cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from torch import Tensor, nn

from simssl.api import Backbone, Shape, Terms
from simssl.errors import RunError
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import StubRegistry, TinyDataset, TinyObjective, tiny_experiment, tiny_run
from simssl.training import step as step_module
from simssl.training.build import BuiltRun, build_run
from simssl.training.machine import precision as precision_module
from simssl.training.machine.precision import allow_tf32, computed_in, in_float32, shortfall, slow_convolutions
from simssl.training.trainer import Trainer


def flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


class Watching(TinyObjective):
    """Notes, on the way forwards and on the way back, whether TF32 is allowed and what autocast says."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        self.forwards = (flags(), torch.is_autocast_enabled("cpu"))
        terms = super().forward(x_BJCHW, index_B, generator)
        terms.loss["kl"].register_hook(self._note)
        return terms

    def _note(self, gradient: Tensor) -> None:
        self.backwards = (flags(), torch.is_autocast_enabled("cpu"))


def new_trainer(folder: Path, precision: str, objective: type[TinyObjective] = Watching) -> Trainer:
    built = tiny_run(objective)
    training = built.experiment.training.model_copy(update={"precision": precision})
    object.__setattr__(built.experiment, "training", training)
    return Trainer(built, RunFolder(folder))


@pytest.mark.parametrize(
    ("precision", "tf32", "autocast"),
    [("float32", False, False), ("tf32", True, False), ("bfloat16", False, True)],
)
def test_a_step_is_in_its_precision_and_nothing_after_it(
    precision: str, tf32: bool, autocast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_module, "computed_in", lambda precision, device: precision)
    trainer = new_trainer(tmp_path, precision)
    trainer.train_step()
    assert trainer.objective.forwards == ((tf32, tf32), autocast)
    assert trainer.objective.backwards == ((tf32, tf32), False)
    assert flags() == (False, False)
    assert not torch.is_autocast_enabled("cpu")


class Failing(TinyObjective):
    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        raise RuntimeError("out of memory")


def test_a_step_that_fails_leaves_no_tf32_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        new_trainer(tmp_path, "tf32", Failing).train_step()
    assert flags() == (False, False)


def test_assembling_forbids_what_was_allowed_before() -> None:
    allow_tf32(True)
    tiny_run()
    assert flags() == (False, False)


NEWER = pytest.mark.skipif(not precision_module.SETTINGS, reason="this torch has no fp32_precision")


def kinds() -> list[str]:
    return [setting.fp32_precision for setting in precision_module.SETTINGS]


@NEWER
@pytest.mark.parametrize("around", ["ieee", "tf32"])
def test_float32_in_a_program_that_sets_the_newer_precisions(around: str) -> None:
    """torch's older flag cannot be read then."""
    allow_tf32(around == "ieee")
    torch.backends.cudnn.conv.fp32_precision = around
    before = kinds()
    try:
        with pytest.raises(RuntimeError, match="allow_tf32"):
            flags()
        with in_float32():
            assert (flags(), set(kinds())) == ((False, False), {"ieee"})
        assert kinds() == before
    finally:
        allow_tf32(False)


@NEWER
@pytest.mark.parametrize("part", ["matmul", "conv"])
def test_float32_in_a_program_that_allows_bfloat16_on_the_cpu(part: str) -> None:
    setting = getattr(torch.backends.mkldnn, part)
    setting.fp32_precision = "bf16"
    try:
        with in_float32():
            assert set(kinds()) == {"ieee"}
        assert setting.fp32_precision == "bf16"
    finally:
        allow_tf32(False)


@pytest.mark.parametrize("around", ["highest", "high", "medium"])
def test_float32_in_a_program_that_allows_less_in_matrix_products(around: str) -> None:
    """It can still be read afterwards, as torch's compiler does."""
    torch.set_float32_matmul_precision(around)
    before = flags()
    try:
        with in_float32():
            assert (flags(), torch.get_float32_matmul_precision()) == ((False, False), "highest")
        assert (flags(), torch.get_float32_matmul_precision()) == (before, around)
    finally:
        torch.set_float32_matmul_precision("highest")
        allow_tf32(False)


@pytest.mark.parametrize("around", ["high", "medium"])
def test_what_is_assembled_computes_in_float32_where_less_was_allowed(around: str) -> None:
    torch.set_float32_matmul_precision(around)
    tiny_run()
    assert (flags(), set(kinds()) - {"ieee"}) == ((False, False), set())
    assert torch.get_float32_matmul_precision() == "highest"


LACKING = {
    "tf32": "training.precision is tf32, which CUDA alone has: a step is in float32 here",
    "bfloat16": "training.precision is bfloat16, of which this CPU has no fast products (they take hundreds of times "
    "as long): a step is in float32 here",
}


@pytest.mark.parametrize("lacking", LACKING)
def test_what_the_cpu_lacks_is_float32_and_it_says_so_once(
    lacking: str, simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_module, "multiplies_bfloat16", lambda: False)
    said, training = LACKING[lacking], {"views": 600, "batch_views": 60}
    results, weights = [], []
    for precision in (lacking, "float32"):
        file = small(name=precision, training={**training, "precision": precision}, grid={"seed": [0, 1]})
        results.append(simssl("run", file, "--device", "cpu"))
        checkpoint = next(Path("runs").glob(f"{precision}/simvae-seed0-*/checkpoint.pt"))
        weights.append(torch.load(checkpoint, weights_only=True)["objective"])
        environment = json.loads((checkpoint.parent / "environment.json").read_text())
        assert {part: environment[part]["precision"] for part in environment} == dict.fromkeys(environment, "float32")
    assert [result.exit_code for result in results] == [0, 0]
    assert [result.stderr.count(said) for result in results] == [1, 0]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.parametrize(("capability", "has"), [((7, 5), False), ((8, 0), True), ((12, 1), True)])
def test_what_an_older_gpu_lacks_is_float32_and_it_says_so(
    capability: tuple[int, int], has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    device, precisions = torch.device("cuda"), ("float32", "tf32", "bfloat16")
    assert [computed_in(p, device) for p in precisions] == [p if has else "float32" for p in precisions]
    runs = [new_trainer(Path(), precision).built for precision in precisions]
    said = [shortfall(built.experiment, device) for built in runs]
    lacking = [
        None,
        "training.precision is tf32, which this GPU has not: a step is in float32 here",
        "training.precision is bfloat16, of which this GPU has no products: a step is in float32 here",
    ]
    assert said == ([None, None, None] if has else lacking)


def test_a_run_does_not_go_on_in_another_precision(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun on a CPU that multiplies bfloat16, stopped, and taken up on one that does not."""
    monkeypatch.setattr(precision_module, "multiplies_bfloat16", lambda: True)
    file = small(training={"views": 1200, "batch_views": 60, "precision": "bfloat16"})

    def stop(trainer: Trainer, trackers: object) -> None:
        trainer.save()
        raise RunError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "log_and_save", stop)
        assert "stopped" in simssl("run", file, "--device", "cpu").stderr
    monkeypatch.setattr(precision_module, "multiplies_bfloat16", lambda: False)
    result = simssl("run", file, "--device", "cpu")
    assert result.exit_code == 1
    assert (
        "was begun in bfloat16 and cannot go on exactly in float32, which is what bfloat16 is on this" in result.stderr
    )


def test_bfloat16_on_a_cpu_that_has_it_is_written_down(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_module, "multiplies_bfloat16", lambda: True)
    file = small(training={"views": 600, "batch_views": 60, "precision": "bfloat16"})
    result = simssl("run", file, "--device", "cpu")
    assert result.exit_code == 0
    assert "training.precision" not in result.stderr
    (path,) = Path("runs").rglob("environment.json")
    environment = json.loads(path.read_text())
    assert (environment["training"]["precision"], environment["measurement"]["precision"]) == ("bfloat16", "float32")


class Convolutions(Backbone):
    """One convolution each way."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        channels, height, width = shape
        size = 6 * (height // 2) * (width // 2)
        return nn.Sequential(
            nn.Conv2d(channels, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(size, outputs)
        )

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        channels, height, width = shape
        size = (6, height // 2, width // 2)
        return nn.Sequential(
            nn.Linear(inputs, 6 * size[1] * size[2]),
            nn.Unflatten(1, size),
            nn.ConvTranspose2d(6, channels, 2, stride=2),
        )


def convolutional(channels_last: bool) -> BuiltRun:
    experiment = tiny_experiment()
    training = experiment.training.model_copy(update={"channels_last": channels_last})
    object.__setattr__(experiment, "training", training)
    data = TinyDataset(TinyDataset.Params()).load(Path(), lambda label, done, total: None)
    return build_run(experiment, StubRegistry(backbone=Convolutions), data, torch.device("cpu"))  # type: ignore[arg-type]


def test_channels_last_is_a_layout_and_nothing_else(tmp_path: Path) -> None:
    trained = []
    for channels_last in (False, True):
        trainer = Trainer(convolutional(channels_last), RunFolder(tmp_path))
        for _ in range(3):
            trainer.train_step()
        trained.append(trainer.objective)
    kernels = [p for p in trained[1].parameters() if p.ndim == 4]
    assert kernels
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    for name, value in trained[0].state_dict().items():
        torch.testing.assert_close(trained[1].state_dict()[name], value, atol=1e-4, rtol=1e-3)


def test_channels_last_resumes_bit_equal_and_keeps_its_layout(tmp_path: Path) -> None:
    def go_on(folder: str, steps: int) -> Trainer:
        (tmp_path / folder).mkdir(exist_ok=True)
        trainer = Trainer(convolutional(True), RunFolder(tmp_path / folder))
        trainer.restore()
        while trainer.step < steps:
            trainer.train_step()
        return trainer

    whole = go_on("whole", 6)
    go_on("parts", 2).save()
    resumed = go_on("parts", 6)
    for name, value in whole.objective.state_dict().items():
        assert torch.equal(value, resumed.objective.state_dict()[name]), name
        assert value.stride() == resumed.objective.state_dict()[name].stride()


@pytest.mark.cuda
def test_cuda_rounds_in_tf32_and_not_in_float32() -> None:
    from simssl.training.machine.precision import step_in

    a = torch.rand(512, 512, device="cuda")
    exact = (a.double() @ a.double()).float()
    errors = {}
    for precision in ("float32", "tf32"):
        with step_in(precision):
            errors[precision] = ((a @ a) / exact - 1).abs().max().item()
    assert errors["float32"] < 1e-5 < errors["tf32"] < 1e-2


@pytest.mark.parametrize(
    ("precision", "device", "capability", "network", "told"),
    [
        ("float32", "cuda", (9, 0), nn.Sequential(nn.Conv2d(1, 2, 3)), True),
        ("float32", "cuda", (9, 0), nn.ConvTranspose2d(1, 2, 3), True),
        ("float32", "cuda", (9, 0), nn.Linear(2, 2), False),
        ("bfloat16", "cuda", (9, 0), nn.Conv2d(1, 2, 3), False),
        ("float32", "cuda", (7, 5), nn.Conv2d(1, 2, 3), False),
        ("float32", "cpu", (9, 0), nn.Conv2d(1, 2, 3), False),
    ],
)
def test_convolutions_in_float32_are_told_of_where_a_gpu_has_faster_products(
    precision: str,
    device: str,
    capability: tuple[int, int],
    network: nn.Module,
    told: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    sentence = slow_convolutions(precision, network, torch.device(device))
    assert bool(sentence) == told
