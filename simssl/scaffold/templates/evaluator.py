import torch
from pydantic import Field

import simssl
from simssl.api import Evaluator, Metric, Result, Subject


class EffectiveRank(Evaluator):
    """How many latent dimensions are in use (Roy & Vetterli 2007, eq. 4)."""

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
