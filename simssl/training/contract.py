"""What plugins hand over, checked where it is handed over: a sentence says what came instead of what, and where the
plugin's method stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from simssl.api import Data, Evaluator, Metric, Objective, Posterior, Result, Terms
from simssl.errors import ContractError, line_of, said, summary

Method = Callable[..., Any]


def check_data(method: Method, data: Any) -> None:
    """What `Dataset.load` returned."""
    if not isinstance(data, Data):
        raise _wrong(method, f"returned {_said(data)}, not a Data")


def check_network(method: Method, network: Any, given: Sequence[int], shape: Sequence[int]) -> None:
    """What `Backbone.encoder` or `decoder` returned, by what it makes of two inputs of the shape `given`."""
    if not isinstance(network, nn.Module):
        raise _wrong(method, f"returned {_said(network)}, not an nn.Module")
    try:
        with frozen(network):
            output = network(torch.zeros(2, *given))
    except Exception as error:
        raise _wrong(method, f"returned a network that fails on a tensor {(2, *given)}: {summary(error)}") from error
    if not _is(output, (2, *shape)):
        takes = f"a network that makes of a tensor {(2, *given)}"
        raise _wrong(method, f"returned {takes} {_said(output)}, not a tensor {(2, *shape)}")


def check_posterior(objective: Objective, posterior: Any, images: int) -> None:
    """What `Objective.posterior` returned for so many images."""
    shape = (images, objective.context.latent_dim)
    if not isinstance(posterior, Posterior):
        raise _wrong(objective.posterior, f"returned {_said(posterior)}, not a Posterior")
    variance = {} if posterior.variance is None else {"variance": posterior.variance}
    for name, value in {"mean": posterior.mean, **variance}.items():
        if not _is(value, shape):
            raise _wrong(
                objective.posterior, f"returned as {name} {_said(value)}, not a tensor {shape}, (B, latent_dim)"
            )


def check_layers(objective: Objective, layers: Any, images: int) -> None:
    """What `Objective.layers` returned for so many images."""
    if not isinstance(layers, Mapping):
        raise _wrong(objective.layers, f"returned {_said(layers)}, not a mapping of names to tensors (B, features)")
    for name, value in layers.items():
        if not (isinstance(value, Tensor) and value.ndim == 2 and len(value) == images):
            raise _wrong(objective.layers, f"returned as '{name}' {_said(value)}, not a tensor ({images}, features)")


def check_terms(objective: Objective, terms: Any) -> None:
    """What `Objective.forward` returned; reads no value, so that the host does not wait."""
    if not isinstance(terms, Terms):
        raise _wrong(objective.forward, f"returned {_said(terms)}, not Terms(loss={{...}})")
    for part, named in (("loss", terms.loss), ("monitor", terms.monitor)):
        if not isinstance(named, Mapping):
            reason = f"returned Terms whose {part} is {_said(named)}, not a mapping of names to tensors ()"
            raise _wrong(objective.forward, reason)
    if not terms.loss:
        raise _wrong(objective.forward, "returned Terms without a term of the loss")
    for name, value in (*terms.loss.items(), *terms.monitor.items()):
        if not _is(value, ()):
            raise _wrong(objective.forward, f"returned as the term '{name}' {_said(value)}, not a tensor ()")
    if torch.is_grad_enabled() and not any(value.requires_grad for value in terms.loss.values()):
        names = ", ".join(f"'{name}'" for name in terms.loss)
        reason = f"none of its terms {names} depends on a parameter that requires one"
        raise _wrong(objective.forward, f"returned a loss without a gradient: {reason}")


def check_weights(objective: Objective, weights_N: Any, images: int) -> None:
    """What `Objective.before_epoch` returned, for so many training images."""
    if weights_N is not None and not _is(weights_N, (images,)):
        raise _wrong(objective.before_epoch, f"returned {_said(weights_N)}, not None or a tensor ({images},), (N,)")


def check_logits(objective: Objective, logits_BCHW: Any, shape: Sequence[int]) -> None:
    """What `Objective.decode` returned, which should have this shape."""
    if not _is(logits_BCHW, shape):
        raise _wrong(objective.decode, f"returned {_said(logits_BCHW)}, not a tensor {tuple(shape)}, (B, C, H, W)")


def check_result(evaluator: Evaluator, result: Any) -> None:
    """What `Evaluator.run` returned."""
    if not isinstance(result, Result):
        raise _wrong(evaluator.run, f"returned {_said(result)}, not a Result")
    if not result.metrics and not result.skipped:
        raise _wrong(evaluator.run, "measured nothing: its Result has no metrics")
    for name, metric in result.metrics.items():
        if not isinstance(metric, Metric):
            raise _wrong(evaluator.run, f"returned as '{name}' {_said(metric)}, not a Metric")
    for name, image in result.images.items():
        if not (isinstance(image, Tensor) and image.dtype == torch.uint8 and image.ndim == 3):
            raise _wrong(evaluator.run, f"returned as the image '{name}' {_said(image)}, not a uint8 tensor (C, H, W)")


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """The module in evaluation, without gradients; each part is then in the mode that it was in."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training


def _wrong(method: Method, what: str) -> ContractError:
    owner = type(method.__self__).__name__  # type: ignore[attr-defined]
    return ContractError(f"{owner}.{method.__name__}() {what}{line_of(method)}")


def _is(value: Any, shape: Sequence[int]) -> bool:
    return isinstance(value, Tensor) and value.shape == tuple(shape)


def _said(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor {tuple(value.shape)}"
    return said(value)
