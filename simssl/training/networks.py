"""The networks of an experiment's backbones: those of the images, and those of the modalities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from simssl.api import Backbone, Modality, ModalityContext, Objective, modalities_of
from simssl.errors import STOPS, SimsslError, UserError, code_of, line_of, one_line
from simssl.experiment.model import Choice, Experiment
from simssl.plugin.registry import Registry
from simssl.training.contract import check_network

NewNetwork = Callable[[int], nn.Module]
"""Builds a new encoder of so many outputs, or a new decoder of so many inputs."""


@dataclass(frozen=True)
class Form:
    """The kind and the shape of a modality: (V,) of a vector, (L, vocabulary) of tokens."""

    kind: Literal["vector", "tokens"]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, modality: Modality) -> Form:
        _, length = modality.values.shape
        if modality.vocabulary is None:
            return cls("vector", (length,))
        return cls("tokens", (length, len(modality.vocabulary)))


@contextmanager
def building(choice: Choice, registry: Registry) -> Iterator[None]:
    """Turn the errors of a plugin that cannot be built into UserError, which names it."""
    try:
        yield
    except SimsslError:
        raise
    except ValueError as error:
        raise UserError(f"{choice.kind} '{choice.label}': {error}") from error
    except STOPS:
        raise
    except BaseException as error:
        plugin_class = registry.load(choice.kind, choice.name)
        reason = one_line(error, code_of(plugin_class), line_of(plugin_class))
        raise UserError(f"{choice.kind} '{choice.label}' cannot be built: {reason}") from error


def backbone_of(choice: Choice, registry: Registry) -> Backbone:
    """Return the backbone that the experiment names."""
    with building(choice, registry):
        backbone_class = registry.load(choice.kind, choice.name)
        backbone: Backbone = backbone_class(choice.params)
        return backbone


def networks_of(
    backbone: Backbone, choice: Choice, registry: Registry, shape: tuple[int, ...], method: str
) -> tuple[NewNetwork, NewNetwork]:
    """Return two functions: one builds a new encoder, the other a new decoder. `method` is for the words of an error.

    `shape` is that of the images, or of a modality (`Form.shape`).
    """
    of_tokens = backbone.input == "tokens"
    given = shape[:1] if of_tokens else shape
    dtype = torch.int64 if of_tokens else torch.float32

    def encoder(outputs: int) -> nn.Module:
        with building(choice, registry):
            network = backbone.encoder(shape, outputs)
            check_network(backbone.encoder, network, given, (outputs,), dtype)
        return network

    def decoder(inputs: int) -> nn.Module:
        if not backbone.decodes:
            raise UserError(
                f"objective '{method}' needs a decoder, and the backbone '{choice.name}' has none; choose a backbone "
                "with one, or a method without"
            )
        with building(choice, registry):
            network = backbone.decoder(shape, inputs)
            check_network(backbone.decoder, network, (inputs,), shape)
        return network

    return encoder, decoder


def modality_contexts(
    experiment: Experiment, registry: Registry, objective: type[Objective], forms: Mapping[str, Form]
) -> dict[str, ModalityContext]:
    """Return what the objective is told of each modality that it declares. UserError if one is not there.

    `forms` are those of the data set's modalities.
    """
    contexts = {}
    for name in modalities_of(objective, experiment.objective.params):
        form = _form(name, experiment, forms)
        contexts[name] = _context(name, form, experiment, registry)
    return contexts


def require_named(experiment: Experiment, forms: Mapping[str, Form]) -> None:
    """Raise UserError if the file names a network for a modality that the data set does not have.

    It may be misspelt, and no objective that would say so may need it.
    """
    for name in experiment.modalities:
        if name not in forms:
            raise UserError(f"modalities.{name}: {_what_data_has(experiment, forms)}")


def _what_data_has(experiment: Experiment, forms: Mapping[str, Form]) -> str:
    data = experiment.dataset.name
    has = f"the modalities {', '.join(forms)}" if forms else "no modality"
    return (
        f"the data set '{data}' has {has}; give it a parameter that adds this one (simssl show dataset {data}), or "
        "take another data set"
    )


def _form(name: str, experiment: Experiment, forms: Mapping[str, Form]) -> Form:
    if name in forms:
        return forms[name]
    method = experiment.objective.name
    raise UserError(f"objective '{method}' learns from the modality '{name}', and {_what_data_has(experiment, forms)}")


def _context(name: str, form: Form, experiment: Experiment, registry: Registry) -> ModalityContext:
    method = experiment.objective.name
    if name not in experiment.modalities:
        raise UserError(f"objective '{method}' learns from the modality '{name}', and no network is named for it")
    choice = experiment.modalities[name]
    backbone = backbone_of(choice, registry)
    if backbone.input != form.kind:
        raise UserError(
            f"modalities.{name}.backbone: '{choice.name}' takes {backbone.input}, and the data set's '{name}' is of "
            f"{form.kind}; name a backbone that takes {form.kind}"
        )
    encoder, decoder = networks_of(backbone, choice, registry, form.shape, method)
    return ModalityContext(form.kind, form.shape, encoder, decoder)
