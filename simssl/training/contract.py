"""Checks of what plugins hand over, made where it is handed over.

The sentence of an error says what came and what should have come, and where the plugin's method stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from simssl.api import Data, Evaluator, Metric, Objective, Posterior, Result, Terms
from simssl.errors import STOPS, ContractError, line_of, said, summary

Method = Callable[..., Any]
"""A bound method of a plugin."""


def check_data(method: Method, data: Any) -> None:
    """Check what `Dataset.load` returned."""
    if not isinstance(data, Data):
        raise _wrong(method, f"returned {_said(data)}, not a Data")


def check_network(
    method: Method,
    network: Any,
    given: Sequence[int],
    shape: Sequence[int],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Check what `Backbone.encoder` or `decoder` returned.

    The network is given two inputs of the shape `given`, all zeros. It has to make two outputs of the shape `shape`.
    """
    if not isinstance(network, nn.Module):
        raise _wrong(method, f"returned {_said(network)}, not an nn.Module")

    input_shape = (2, *given)
    output_shape = (2, *shape)
    try:
        with frozen(network):
            output = network(torch.zeros(input_shape, dtype=dtype))
    except STOPS:
        raise
    except BaseException as error:
        reason = summary(error)
        raise _wrong(method, f"returned a network that fails on a tensor {input_shape}: {reason}") from error
    if not _is_tensor(output, output_shape):
        made = f"a network that makes of a tensor {input_shape} {_said(output)}"
        raise _wrong(method, f"returned {made}, not a tensor {output_shape}")


def check_posterior(objective: Objective, posterior: Any, images: int, method: Method | None = None) -> None:
    """Check what `Objective.posterior`, or another method of its kind, returned for so many images."""
    method = method or objective.posterior
    if not isinstance(posterior, Posterior):
        raise _wrong(method, f"returned {_said(posterior)}, not a Posterior")
    shape = (images, objective.context.latent_dim)
    _check_moment(method, "mean", posterior.mean, shape)
    if posterior.variance is not None:
        _check_moment(method, "variance", posterior.variance, shape)


def _check_moment(method: Method, name: str, value: Any, shape: Sequence[int]) -> None:
    if not _is_tensor(value, shape):
        reason = f"returned as {name} {_said(value)}, not a tensor {shape}, (B, latent_dim)"
        raise _wrong(method, reason)


def check_encoded(objective: Objective, z_BP: Any, rows: int) -> None:
    """Check what `Objective.encode_modality` returned for so many rows."""
    if not (isinstance(z_BP, Tensor) and z_BP.ndim == 2 and len(z_BP) == rows):
        reason = f"returned {_said(z_BP)}, not a tensor ({rows}, features)"
        raise _wrong(objective.encode_modality, reason)


def check_layers(objective: Objective, layers: Any, images: int) -> None:
    """Check what `Objective.layers` returned for so many images."""
    if not isinstance(layers, Mapping):
        reason = f"returned {_said(layers)}, not a mapping of names to tensors (B, features)"
        raise _wrong(objective.layers, reason)
    for name, value in layers.items():
        if isinstance(value, Tensor) and value.ndim == 2 and len(value) == images:
            continue
        reason = f"returned as '{name}' {_said(value)}, not a tensor ({images}, features)"
        raise _wrong(objective.layers, reason)


def check_terms(objective: Objective, terms: Any) -> None:
    """Check what `Objective.forward` returned. No value is read, so that the host does not wait."""
    if not isinstance(terms, Terms):
        raise _wrong(objective.forward, f"returned {_said(terms)}, not Terms(loss={{...}})")
    _check_mapping(objective, "loss", terms.loss)
    _check_mapping(objective, "monitor", terms.monitor)
    if not terms.loss:
        raise _wrong(objective.forward, "returned Terms without a term of the loss")
    _check_values(objective, terms.loss)
    _check_values(objective, terms.monitor)
    has_gradient = any(value.requires_grad for value in terms.loss.values())
    if torch.is_grad_enabled() and not has_gradient:
        names = ", ".join(f"'{name}'" for name in terms.loss)
        reason = f"none of its terms {names} depends on a parameter that requires one"
        raise _wrong(objective.forward, f"returned a loss without a gradient: {reason}")


def _check_mapping(objective: Objective, part: str, terms: Any) -> None:
    if not isinstance(terms, Mapping):
        reason = f"returned Terms whose {part} is {_said(terms)}, not a mapping of names to tensors ()"
        raise _wrong(objective.forward, reason)


def _check_values(objective: Objective, terms: Mapping[str, Any]) -> None:
    for name, value in terms.items():
        if not _is_tensor(value, ()):
            reason = f"returned as the term '{name}' {_said(value)}, not a tensor ()"
            raise _wrong(objective.forward, reason)


def check_weights(objective: Objective, weights_N: Any, images: int) -> None:
    """Check what `Objective.before_epoch` returned for so many training images."""
    if weights_N is None or _is_tensor(weights_N, (images,)):
        return
    raise _wrong(objective.before_epoch, f"returned {_said(weights_N)}, not None or a tensor ({images},), (N,)")


def check_logits(objective: Objective, logits_BCHW: Any, shape: Sequence[int]) -> None:
    """Check what `Objective.decode` returned. It should have this shape."""
    if not _is_tensor(logits_BCHW, shape):
        reason = f"returned {_said(logits_BCHW)}, not a tensor {tuple(shape)}, (B, C, H, W)"
        raise _wrong(objective.decode, reason)


def check_result(evaluator: Evaluator, result: Any) -> None:
    """Check what `Evaluator.run` returned."""
    if not isinstance(result, Result):
        raise _wrong(evaluator.run, f"returned {_said(result)}, not a Result")
    if not result.metrics and not result.skipped:
        raise _wrong(evaluator.run, "measured nothing: its Result has no metrics")
    for name, metric in result.metrics.items():
        if not isinstance(metric, Metric):
            raise _wrong(evaluator.run, f"returned as '{name}' {_said(metric)}, not a Metric")
    for name, image in result.images.items():
        if isinstance(image, Tensor) and image.dtype == torch.uint8 and image.ndim == 3:
            continue
        reason = f"returned as the image '{name}' {_said(image)}, not a uint8 tensor (C, H, W)"
        raise _wrong(evaluator.run, reason)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Hold the module in evaluation, without gradients. Afterwards each part is in the mode that it was in before."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training


def _wrong(method: Method, reason: str) -> ContractError:
    owner = type(method.__self__).__name__  # type: ignore[attr-defined]
    location = line_of(method)
    return ContractError(f"{owner}.{method.__name__}() {reason}{location}")


def _is_tensor(value: Any, shape: Sequence[int]) -> bool:
    return isinstance(value, Tensor) and value.shape == tuple(shape)


def _said(value: Any) -> str:
    """The words for what came: of a tensor its type and shape, of all else the value and its type."""
    if not isinstance(value, Tensor):
        return said(value)
    dtype = str(value.dtype).removeprefix("torch.")
    return f"a {dtype} tensor {tuple(value.shape)}"
