"""What an author is told of a mistake: what came instead of what, and which line of the plugin it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import Result

from simssl.scaffold import _template

Command = Callable[..., Result]


class Mistake(NamedTuple):
    """A worked example with a mistake in it."""

    kind: str
    right: str
    wrong: str
    line: str
    """The text of the line that is named."""
    sentence: str


DURING = {
    "terms_are_a_dict": Mistake(
        "objective",
        "return Terms(loss={",
        "return dict(loss={",
        "def forward",
        "Alignment.forward() returned {'loss': ",
    ),
    "term_is_no_scalar": Mistake(
        "objective",
        ".square().sum(1).mean()",
        ".square().sum(1)",
        "def forward",
        "Alignment.forward() returned as the term 'alignment' a float32 tensor (30,), not a tensor ()",
    ),
    "forward_takes_too_little": Mistake(
        "objective",
        "def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator)",
        "def forward(self, x_BJCHW)",
        "class Alignment",
        "TypeError: Alignment.forward() takes 2 positional arguments but 4 were given",
    ),
    "loss_is_detached": Mistake(
        "objective",
        '{"alignment": alignment, "uniformity": self.params.weight * uniformity}',
        '{"alignment": alignment.detach(), "uniformity": uniformity.detach()}',
        "def forward",
        "Alignment.forward() returned a loss without a gradient: none of its terms 'alignment', 'uniformity' depends "
        "on a parameter that requires one",
    ),
    "terms_are_a_tensor": Mistake(
        "objective",
        'return Terms(loss={"alignment": alignment, "uniformity": self.params.weight * uniformity})',
        "return Terms(alignment)",
        "def forward",
        "Alignment.forward() returned Terms whose loss is a float32 tensor (), not a mapping of names to tensors ()",
    ),
    "no_term": Mistake(
        "objective",
        'return Terms(loss={"alignment": alignment, "uniformity": self.params.weight * uniformity})',
        "return Terms(loss={})",
        "def forward",
        "Alignment.forward() returned Terms without a term of the loss",
    ),
    "fails_in_torch": Mistake(
        "objective",
        "torch.pdist(all_BD)",
        "torch.nn.functional.linear(all_BD, all_BD[:, :2])",
        "torch.nn.functional.linear",
        "mat1 and mat2 shapes cannot be multiplied",
    ),
    "weights_of_the_wrong_length": Mistake(
        "objective",
        "    def posterior",
        "    def before_epoch(self, epoch, encode_all, generator):\n        return torch.ones(3)\n\n    def posterior",
        "def before_epoch",
        "Alignment.before_epoch() returned a float32 tensor (3,), not None or a tensor (1437,), (N,)",
    ),
    "layer_is_flat": Mistake(
        "objective",
        "    def posterior",
        "    def layers(self, x_BCHW):\n        return {'flat': x_BCHW}\n\n    def posterior",
        "def layers",
        "Alignment.layers() returned as 'flat' a float32 tensor",
    ),
    "dataset_fails": Mistake(
        "dataset",
        "noisy.byte()",
        "noisy.byte().view(3)",
        "noisy.byte().view(3)",
        "dataset 'own' cannot be loaded: RuntimeError",
    ),
    "load_takes_nothing": Mistake(
        "dataset",
        "def load(self, root: Path, progress: Progress)",
        "def load(self)",
        "class ",
        "load() takes 1 positional argument but 3 were given",
    ),
    "result_is_a_number": Mistake(
        "evaluator",
        'return Result({"rank": Metric(rank, unit="dimensions", better="higher")}, protocol={"split": "test"})',
        "return rank",
        "def run",
        "of type float, not a Result",
    ),
    "metric_is_a_number": Mistake(
        "evaluator",
        'Metric(rank, unit="dimensions", better="higher")',
        "3.5",
        "def run",
        "EffectiveRank.run() returned as 'rank' 3.5 of type float, not a Metric",
    ),
    "image_is_of_floats": Mistake(
        "evaluator",
        'protocol={"split": "test"})',
        '{"z": z_ND})',
        "def run",
        "EffectiveRank.run() returned as the image 'z' a float32 tensor",
    ),
    "evaluator_fails": Mistake(
        "evaluator",
        "singular_D.sum()",
        "singular_D.sum().reshape(7)",
        "reshape(7)",
        "evaluator 'own' failed: RuntimeError",
    ),
}
"""Found while it runs: the run fails, exit 1."""

BEFORE = {
    "posterior_is_a_tensor": Mistake(
        "objective",
        "return Posterior(self.encoder(x_BCHW).float())",
        "return self.encoder(x_BCHW)",
        "def posterior",
        "Alignment.posterior() returned a float32 tensor (2, 4), not a Posterior",
    ),
    "posterior_takes_nothing": Mistake(
        "objective",
        "def posterior(self, x_BCHW: Tensor)",
        "def posterior(self)",
        "class Alignment",
        "Alignment.posterior() takes 1 positional argument but 2 were given",
    ),
    "posterior_is_too_small": Mistake(
        "objective",
        "return Posterior(self.encoder(x_BCHW).float())",
        "return Posterior(self.encoder(x_BCHW)[:, :3])",
        "def posterior",
        "Alignment.posterior() returned as mean a float32 tensor (2, 3), not a tensor (2, 4), (B, latent_dim)",
    ),
    "objective_cannot_be_built": Mistake(
        "objective",
        "context.encoder(context.latent_dim)",
        "context.encoder()",
        "context.encoder()",
        "objective 'own' cannot be built: TypeError",
    ),
    "encoder_is_a_function": Mistake(
        "backbone",
        "return nn.Sequential(nn.Flatten(),",
        "return (nn.Flatten(),",
        "def encoder",
        "of type tuple, not an nn.Module",
    ),
    "encoder_has_other_outputs": Mistake(
        "backbone",
        "math.prod(shape), outputs,",
        "math.prod(shape), outputs + 1,",
        "def encoder",
        "Linear.encoder() returned a network that makes of a tensor (2, 1, 8, 8) a float32 tensor (2, 9), "
        "not a tensor (2, 8)",
    ),
    "decoder_is_flat": Mistake(
        "backbone",
        ", nn.Unflatten(1, shape))",
        ")",
        "def decoder",
        "makes of a tensor (2, 4) a float32 tensor (2, 64), not a tensor (2, 1, 8, 8)",
    ),
    "encoder_fails": Mistake(
        "backbone",
        "math.prod(shape), outputs,",
        "7, outputs,",
        "def encoder",
        "Linear.encoder() returned a network that fails on a tensor (2, 1, 8, 8): RuntimeError: ",
    ),
    "data_is_a_tuple": Mistake(
        "dataset",
        "return Data.of(train=self.split(0), test=self.split(1))",
        "return (self.split(0), self.split(1))",
        "def load",
        "of type tuple, not a Data",
    ),
    "images_are_floats": Mistake(
        "dataset",
        "noisy.byte()",
        "noisy",
        "return Split",
        "dataset 'own': images must be uint8 (N, C, H, W), not torch.float32 (256, 1, 8, 8)",
    ),
    "images_are_an_array": Mistake(
        "dataset", "noisy.byte()", "noisy.numpy()", "return Split", "images must be a tensor, not ndarray"
    ),
    "target_is_a_tensor": Mistake(
        "dataset",
        'Target(label_N, ("horizontal", "vertical"), "content")',
        "label_N",
        "return Split",
        "target 'direction' must be a Target, not Tensor",
    ),
    "a_label_is_missing": Mistake(
        "dataset",
        "Target(label_N,",
        "Target(label_N[1:],",
        "return Split",
        "target 'direction' must have one value an image, (256,), not (255,)",
    ),
    "splits_differ": Mistake(
        "dataset",
        "test=self.split(1))",
        "test=Split(self.split(1).images[:, :, 1:]))",
        "return Data.of",
        "the test images must be of the training images' shape (1, 8, 8), not (1, 7, 8)",
    ),
    "needs_what_nobody_has": Mistake(
        "evaluator", '{"test"}', '{"tests"}', "class EffectiveRank", "evaluator 'own' needs tests; known are decoder"
    ),
}
"""Found before anything is trained: exit 2."""


@pytest.mark.parametrize("name", [*DURING, *BEFORE])
def test_a_mistake_is_told_with_the_plugins_line(
    name: str, simssl: Command, small: Callable[..., Path], package: Callable[..., Path]
) -> None:
    mistake = (DURING | BEFORE)[name]
    example = _template(f"{mistake.kind}.py")
    assert mistake.right in example
    code = example.replace(mistake.right, mistake.wrong)
    site = package("own-dist", f"own_{name}", code, **{mistake.kind: "own"})
    changes = {"evaluators": [{"name": "knn", "layer": "flat"}] if name == "layer_is_flat" else []}
    changes |= {"evaluators": [{"name": "own"}]} if mistake.kind == "evaluator" else {mistake.kind: {"name": "own"}}
    result = simssl("run", small(**changes))
    assert mistake.sentence in result.stderr
    lines = [number for number, text in enumerate(code.splitlines(), 1) if mistake.line in text]
    assert f"({site}/own_{name}.py:{lines[0]})" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.exit_code == (1 if name in DURING else 2)
    assert Path("runs").exists() == (name in DURING and mistake.kind != "dataset")


def test_a_tracker_that_fails_names_its_line(
    simssl: Command, small: Callable[..., Path], package: Callable[..., Path]
) -> None:
    code = _template("tracker.py").replace("json.dumps({", "json.dumps({object(): 1, ")
    site = package("own-dist", "own_tracker", code, tracker="own")
    result = simssl("run", small(trackers=[{"name": "own"}]))
    assert result.exit_code == 0
    (line,) = (number for number, text in enumerate(code.splitlines(), 1) if "object()" in text)
    assert "the tracker 'own' failed and is detached: TypeError: keys must be str" in result.stderr
    assert f"({site}/own_tracker.py:{line})" in result.stderr


ENCODER = """
import math
import simssl
from simssl.api import Backbone
from torch import nn

class Alone(Backbone):
    '''An encoder alone.'''

    def encoder(self, shape, outputs):
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), outputs))

@simssl.hookimpl
def simssl_backbone():
    return Alone
"""


def test_a_backbone_without_a_decoder_serves_the_methods_without(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    Path("alone.py").write_text(ENCODER)
    backbone = {"name": "alone"}
    evaluators = [{"name": "collapse"}, {"name": "decoder"}]
    encodes = small(backbone=backbone, objective={"name": "simclr"}, evaluators=evaluators)
    result = simssl("run", encodes, "--plugin", "alone.py")
    assert result.exit_code == 0, result.stderr
    assert "decoder will be skipped: the backbone 'alone' has no decoder" in result.stderr
    decodes = small(backbone=backbone, objective={"name": "vae"}, name="decodes")
    result = simssl("run", decodes, "--plugin", "alone.py")
    assert result.exit_code == 2
    assert "objective 'vae' needs a decoder, and the backbone 'alone' has none" in result.stderr
    assert not Path("runs/decodes").exists()
