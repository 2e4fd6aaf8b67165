"""The five hooks. Each docstring is a complete plugin module: save it, add the entry point, and it runs.

A plugin's entry point stands in the group of its kind; its name is the name in YAML, its value the module:

    [project.entry-points."simssl.objectives"]
    my_objective = "my_package.my_objective"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from simssl.api import Backbone, Dataset, Evaluator, Objective, Tracker

hookspec = pluggy.HookspecMarker("simssl")
hookimpl = pluggy.HookimplMarker("simssl")


@hookspec(firstresult=True)
def simssl_dataset() -> type[Dataset]:  # type: ignore[empty-body]
    """Return the class of a data set (entry-point group `simssl.datasets`).

    ```python
    from pathlib import Path

    import torch
    from pydantic import Field

    import simssl
    from simssl.api import Data, Dataset, Progress, Split, Target


    class Stripes(Dataset):
        \"\"\"Grey 8 x 8 images of horizontal or vertical stripes.\"\"\"

        class Params(simssl.Params):
            images: int = Field(256, ge=1)
            "Images in each split."

        def load(self, root: Path, progress: Progress) -> Data:
            return Data.of(train=self.split(0), test=self.split(1))

        def split(self, seed: int) -> Split:
            generator = torch.Generator().manual_seed(seed)
            label_N = torch.arange(self.params.images) % 2
            wave_8 = (torch.arange(8) // 2 % 2).float()
            horizontal = wave_8[:, None].expand(8, 8)
            clean_N188 = torch.stack([horizontal, horizontal.T])[label_N][:, None]
            noisy = 200 * clean_N188 + 50 * torch.rand(clean_N188.shape, generator=generator)
            return Split(noisy.byte(), {"direction": Target(label_N, ("horizontal", "vertical"), "content")})


    @simssl.hookimpl
    def simssl_dataset() -> type[Dataset]:
        return Stripes
    ```
    """


@hookspec(firstresult=True)
def simssl_backbone() -> type[Backbone]:  # type: ignore[empty-body]
    """Return the class of a backbone (entry-point group `simssl.backbones`).

    ```python
    import math

    from torch import nn

    import simssl
    from simssl.api import Backbone, Shape


    class Linear(Backbone):
        \"\"\"One linear layer each way.\"\"\"

        class Params(simssl.Params):
            bias: bool = True
            "Add a bias."

        def encoder(self, shape: Shape, outputs: int) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), outputs, self.params.bias))

        def decoder(self, shape: Shape, inputs: int) -> nn.Module:
            return nn.Sequential(nn.Linear(inputs, math.prod(shape), self.params.bias), nn.Unflatten(1, shape))


    @simssl.hookimpl
    def simssl_backbone() -> type[Backbone]:
        return Linear
    ```
    """


@hookspec(firstresult=True)
def simssl_objective() -> type[Objective]:  # type: ignore[empty-body]
    """Return the class of an objective (entry-point group `simssl.objectives`).

    ```python
    import torch
    from pydantic import Field
    from torch import Tensor

    import simssl
    from simssl.api import Context, Objective, Posterior, Terms


    class Alignment(Objective):
        \"\"\"Pull two views of an image together and spread the images out (Wang & Isola 2020, eq. 6 and 7).\"\"\"

        class Params(simssl.Params):
            weight: float = Field(1.0, ge=0)
            "Of the uniformity term. Source: Wang & Isola 2020, table 1."

        views = ("random", "random")

        def __init__(self, params: Params, context: Context) -> None:
            super().__init__(params, context)
            self.encoder = context.encoder(context.latent_dim)

        def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
            z = torch.nn.functional.normalize(self.encoder(x_BJCHW.flatten(0, 1)).float(), dim=1)
            z_BJD = z.unflatten(0, x_BJCHW.shape[:2])
            alignment = (z_BJD[:, 0] - z_BJD[:, 1]).square().sum(1).mean()
            uniformity = torch.pdist(z_BJD[:, 0]).square().mul(-2).exp().mean().log()
            return Terms(loss={"alignment": alignment, "uniformity": self.params.weight * uniformity})

        def posterior(self, x_BCHW: Tensor) -> Posterior:
            return Posterior(self.encoder(x_BCHW).float())


    @simssl.hookimpl
    def simssl_objective() -> type[Objective]:
        return Alignment
    ```
    """


@hookspec(firstresult=True)
def simssl_evaluator() -> type[Evaluator]:  # type: ignore[empty-body]
    """Return the class of an evaluator (entry-point group `simssl.evaluators`).

    ```python
    import torch
    from pydantic import Field

    import simssl
    from simssl.api import Evaluator, Metric, Result, Subject


    class EffectiveRank(Evaluator):
        \"\"\"How many latent dimensions are in use (Roy & Vetterli 2007, eq. 4).\"\"\"

        class Params(simssl.Params):
            epsilon: float = Field(1e-12, gt=0)
            "Added to the normalised singular values, so that the logarithm exists."

        needs = frozenset({"test"})

        def run(self, subject: Subject) -> Result:
            z_ND = subject.features("test")
            singular_D = torch.linalg.svdvals(z_ND - z_ND.mean(0))
            p_D = singular_D / singular_D.sum() + self.params.epsilon
            rank = torch.exp(-(p_D * p_D.log()).sum()).item()
            return Result({"rank": Metric(rank, unit="dimensions", better="higher")}, protocol={"split": "test"})


    @simssl.hookimpl
    def simssl_evaluator() -> type[Evaluator]:
        return EffectiveRank
    ```
    """


@hookspec(firstresult=True)
def simssl_tracker() -> type[Tracker]:  # type: ignore[empty-body]
    """Return the class of a tracker (entry-point group `simssl.trackers`).

    ```python
    import json

    import simssl
    from simssl.api import RunInfo, Tracker


    class JsonLines(Tracker):
        \"\"\"Write the terms of the loss as lines of JSON into the run's folder.\"\"\"

        class Params(simssl.Params):
            file: str = "terms.jsonl"
            "Name of the file."

        def started(self, run: RunInfo) -> None:
            self.stream = (run.directory / self.params.file).open("a")

        def logged(self, step: int, terms: dict[str, float]) -> None:
            print(json.dumps({"step": step, **terms}), file=self.stream, flush=True)

        def ended(self, error: BaseException | None) -> None:
            self.stream.close()


    @simssl.hookimpl
    def simssl_tracker() -> type[Tracker]:
        return JsonLines
    ```
    """
