"""The losses of methods that lightly has too, on the same random input: ours, lightly's, and how far they are apart.

Each objective is built with heads of its own and without an encoder. It is given 64 vectors of 32 numbers in two views,
in float64, and so are lightly's loss and the same heads, in the way of lightly's examples. BYOL's squared distance is
2 - 2 cos, and lightly's BYOL -cos: that is told as 2 + 2 times it. LeJEPA's directions are drawn from the same seed.

lightly 1.6.0: all nine losses and their gradients agree to 1e-15, but for DINO and LeJEPA, of which lightly holds
constants in float32: these to 3e-8. (lightly has no spectral contrastive loss.)

Run it with: python benchmarks/losses_against_lightly.py
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import click
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simssl.api import Context, Objective
from simssl.plugin.registry import Registry

B, P, SEED = 64, 32, 7

Loss = Callable[[Any, Tensor], Tensor]
"""lightly's loss of an objective's heads on views (B, J, P)."""


def no_decoder(inputs: int) -> nn.Module:
    raise NotImplementedError


def built(name: str) -> Objective:
    """The objective with its defaults, in float64, on vectors that are their own representations."""
    plugin = Registry().load("objective", name)
    context = Context(
        image_shape=(P, 1, 1),
        latent_dim=P,
        num_images=B,
        images_per_step=B,
        steps=1,
        binary=False,
        encoder=lambda outputs: nn.Identity(),
        decoder=no_decoder,
    )
    torch.manual_seed(0)
    objective: Objective = plugin(plugin.Params(), context)
    return objective.double().train()


def heads(objective: Any, x_BJP: Tensor) -> list[Tensor]:
    """The projections of each view, which passes the head by itself."""
    return [objective.head(x_BP) for x_BP in x_BJP.unbind(1)]


def heads_at_once(objective: Any, x_BJP: Tensor) -> list[Tensor]:
    """The projections of each view; all pass the head as one batch."""
    z_BJP = objective.head(x_BJP.flatten(0, 1)).unflatten(0, x_BJP.shape[:2])
    return list(z_BJP.unbind(1))


# --- lightly's losses, as in its examples ----------------------------------------------------------------


def simclr(objective: Any, x_BJP: Tensor) -> Tensor:
    from lightly.loss import NTXentLoss

    loss: Tensor = NTXentLoss(temperature=0.5)(*heads_at_once(objective, x_BJP))
    return loss


def vicreg(objective: Any, x_BJP: Tensor) -> Tensor:
    from lightly.loss import VICRegLoss

    loss: Tensor = VICRegLoss()(*heads_at_once(objective, x_BJP))
    return loss


def barlow_twins(objective: Any, x_BJP: Tensor) -> Tensor:
    from lightly.loss import BarlowTwinsLoss

    loss: Tensor = BarlowTwinsLoss(lambda_param=objective.params.lambda_)(*heads(objective, x_BJP))
    return loss


def simsiam(objective: Any, x_BJP: Tensor) -> Tensor:
    from lightly.loss import NegativeCosineSimilarity

    criterion = NegativeCosineSimilarity()
    za_BP, zb_BP = heads(objective, x_BJP)
    a_to_b = criterion(objective.predictor(za_BP), zb_BP.detach())
    b_to_a = criterion(objective.predictor(zb_BP), za_BP.detach())
    loss: Tensor = 0.5 * (a_to_b + b_to_a)
    return loss


def byol(objective: Any, x_BJP: Tensor) -> Tensor:
    from lightly.loss import NegativeCosineSimilarity

    criterion = NegativeCosineSimilarity()
    za_BP, zb_BP = heads(objective, x_BJP)
    ta_BP, tb_BP = (objective.teacher(x_BP) for x_BP in x_BJP.unbind(1))
    a_to_b = criterion(objective.predictor(za_BP), tb_BP)
    b_to_a = criterion(objective.predictor(zb_BP), ta_BP)
    loss: Tensor = 0.5 * (a_to_b + b_to_a)
    return 2 + 2 * loss


def moco(objective: Any, x_BJP: Tensor) -> Tensor:
    """lightly's loss has one direction: a query and its key. Its bank is given the keys of ours."""
    from lightly.loss import NTXentLoss

    queries = heads_at_once(objective, x_BJP)
    keys = [objective.teacher(x_BP) for x_BP in x_BJP.unbind(1)]
    losses = []
    for query_BP, key_BP in zip(queries, reversed(keys), strict=True):
        criterion = NTXentLoss(temperature=objective.params.temperature, memory_bank_size=tuple(objective.queue.shape))
        criterion.memory_bank.bank = objective.queue.clone()
        losses.append(criterion(query_BP, key_BP))
    return torch.stack(losses).mean()


def dino(objective: Any, x_BJP: Tensor) -> Tensor:
    from lightly.loss import DINOLoss

    teachers = [objective.teacher(x_BP) for x_BP in x_BJP.unbind(1)]
    students = [objective.prototypes(z_BP) for z_BP in heads_at_once(objective, x_BJP)]
    loss: Tensor = DINOLoss(output_dim=objective.params.K).double()(teachers, students)
    return loss


def swav(objective: Any, x_BJP: Tensor) -> Tensor:
    from lightly.loss import SwaVLoss

    scores = [F.normalize(z_BP, dim=1) @ objective.prototypes.T for z_BP in heads_at_once(objective, x_BJP)]
    loss: Tensor = SwaVLoss()(scores, [])
    return loss.squeeze()


def lejepa(objective: Any, x_BJP: Tensor) -> Tensor:
    """Of lightly's two terms: its whole loss asks for small views beside the large ones."""
    from lightly.loss.lejepa_loss import SIGReg, lejepa_invariance_loss

    z_JBP = torch.stack(heads_at_once(objective, x_BJP))
    torch.manual_seed(SEED)
    sigreg: Tensor = SIGReg().double()(z_JBP)
    invariance: Tensor = lejepa_invariance_loss(all_proj=z_JBP, global_proj=z_JBP)
    lambda_ = objective.params.lambda_
    return lambda_ * sigreg + (1 - lambda_) * invariance


METHODS: tuple[Loss, ...] = (simclr, moco, vicreg, barlow_twins, simsiam, byol, dino, swav, lejepa)


# --- ours beside them ------------------------------------------------------------------------------------


def ours(objective: Objective, x_BJP: Tensor) -> Tensor:
    terms = objective(x_BJP, torch.arange(B), torch.Generator().manual_seed(SEED))
    return torch.stack(list(terms.loss.values())).sum()


def largest_difference(a: Tensor, b: Tensor) -> float:
    """Beside the largest number of either."""
    scale = torch.maximum(a.abs().max(), b.abs().max())
    return float((a - b).abs().max() / scale)


def compared(lightly_loss: Loss) -> tuple[float, float, float, float]:
    """Our loss, lightly's, their difference, and that of the gradients of the input."""
    objective = built(lightly_loss.__name__)
    generator = torch.Generator().manual_seed(1)
    x_BJP = torch.randn(B, 2, P, dtype=torch.float64, generator=generator).requires_grad_()
    mine = ours(objective, x_BJP)
    theirs = lightly_loss(objective, x_BJP)
    (my_gradient,) = torch.autograd.grad(mine, x_BJP)
    (their_gradient,) = torch.autograd.grad(theirs, x_BJP)
    between_gradients = largest_difference(my_gradient, their_gradient)
    between_losses = largest_difference(mine.detach(), theirs.detach())
    return mine.item(), theirs.item(), between_losses, between_gradients


@click.command()
def main() -> None:
    """Print each method's loss in simssl and in lightly."""
    if importlib.util.find_spec("lightly") is None:
        raise click.ClickException("lightly is not installed, which this compares with: python -m pip install lightly")
    click.echo("| method | ours | lightly's | difference | of the gradients |\n| --- | --- | --- | --- | --- |")
    for method in METHODS:
        mine, theirs, difference, of_gradients = compared(method)
        click.echo(f"| {method.__name__} | {mine:.9g} | {theirs:.9g} | {difference:.1e} | {of_gradients:.1e} |")


if __name__ == "__main__":
    main()
