"""Style probe: the part of a view's drawn parameters (crop, flip, colour) that its representation tells.

N counts views and P their parameters.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Skip, Split, Subject
from simssl.blocks.probes import (
    LayerName,
    Pairs,
    regress_by_mlp,
    regress_by_ridge,
    require_images_to_fit_on,
)

logger = logging.getLogger("simssl")


@dataclass(frozen=True)
class EncodedViews:
    """Representations (N, D) of views, and by its name each parameter (N,) that was drawn for them."""

    z_ND: Tensor
    drawn: dict[str, Tensor]

    def varies(self, name: str) -> bool:
        values_N = self.drawn[name]
        return bool(values_N.min() < values_N.max())

    def pairs(self, names: Sequence[str]) -> Pairs:
        columns = [self.drawn[name] for name in names]
        return Pairs(self.z_ND, torch.stack(columns, dim=1))


class StyleProbe(Evaluator):
    """R2 of a regression of each drawn view parameter on the representation of the view.

    Fitted on views of training images, scored on views of test images: R2 = 1 - SSE/SST, unclipped; 1 if the
    parameter can be read off, 0 if the representation knows no more than its mean. `R2` is the mean over the
    parameters. The crop's centre is measured in the view as it is seen, mirrored with a flip.
    """

    class Params(simssl.Params):
        probe: Literal["ridge", "mlp"] = "ridge"
        "Ridge regression, or an MLP D-256-256-parameters (Adam 1e-3, batches of 256)."
        views: int = Field(10, ge=1)
        "Views that are drawn of each image. Ours."
        images: int = Field(5000, ge=20)
        "Most images that are taken of each split. Ours."
        epochs: int = Field(30, ge=1)
        "Most passes of the MLP over the training views. Ours."
        layer: LayerName = "representation"

    needs = frozenset({"test", "views"})

    def check(self, data: Data) -> None:
        require_images_to_fit_on(data)

    @classmethod
    def oracle(cls) -> Oracle:
        ramp_8 = torch.linspace(0, 255, 8).to(torch.uint8)
        image_2HW = torch.stack(torch.meshgrid(ramp_8, ramp_8, indexing="ij"))  # each pixel tells its row and column
        train = Split(image_2HW.expand(60, -1, -1, -1).contiguous())
        test = Split(image_2HW.expand(30, -1, -1, -1).contiguous())
        names = ("crop_centre_y", "crop_centre_x", "crop_height", "crop_width", "horizontal_flip")
        return Oracle(
            representation=_seen,
            data=Data.of(train, test),
            values={f"{name}/R2": (0.95, 1.0) for name in names},
            noise={f"{name}/R2": (-0.2, 0.1) for name in names},
        )

    def run(self, subject: Subject) -> Result:
        fit, held_out, test = self._views(subject)
        names = [name for name in fit.drawn if fit.varies(name) and held_out.varies(name) and test.varies(name)]
        if not names:
            raise Skip("no parameter of the views varies")
        to_fit = fit.pairs(names)
        to_select = held_out.pairs(names)
        to_score = test.pairs(names)
        if self.params.probe == "ridge":
            regressed = regress_by_ridge(to_fit, to_select, to_score.x_ND)
        else:
            regressed = regress_by_mlp(to_fit, to_select, to_score.x_ND, self.params.epochs, subject.generator)
        selected = regressed.chosen
        r2_P = to_score.r2(regressed.predicted_NP).tolist()
        mean = sum(r2_P) / len(r2_P)
        undertrained = [name for name, chosen in zip(names, selected, strict=True) if self._is_last_epoch(chosen)]
        if undertrained:
            listed = ", ".join(undertrained)
            logger.warning(f"the style probe of {listed} was best at its last epoch: raise the evaluator's 'epochs'")
        held_out_P = regressed.held_out
        of_all = {"mean over": names} | _found(undertrained)
        metrics = {"R2": Metric(mean, "R2", "higher", of_all, fmean(held_out_P))}
        for name, value, chosen, there in zip(names, r2_P, selected, held_out_P, strict=True):
            protocol = {"selected": {self._selects: chosen}} | _found(name in undertrained)
            metrics[f"{name}/R2"] = Metric(value, "R2", "higher", protocol, there)
        return Result(metrics, protocol=self._protocol(subject.data))

    @property
    def _selects(self) -> str:
        """The name of what is chosen on the held-out images."""
        return "penalty" if self.params.probe == "ridge" else "epochs"

    def _is_last_epoch(self, chosen: float) -> bool:
        return self.params.probe == "mlp" and chosen == self.params.epochs > 1

    def _protocol(self, data: Data) -> dict[str, object]:
        return {
            "split": "views of test images",
            "probe": "ridge regression, float64" if self.params.probe == "ridge" else "MLP D-256-256-P",
            "layer": self.params.layer,
            "features": f"{self.params.layer}, standardised",
            "selection": f"{self._selects} of each parameter on views of {data.held_out}; then refitted on all",
        }

    def _views(self, subject: Subject) -> tuple[EncodedViews, EncodedViews, EncodedViews]:
        """Views to fit on, to select on, and to score."""
        assert subject.data.test is not None
        train = subject.data.train.images
        test = subject.data.test.images
        share = min(1.0, self.params.images / len(train))
        fit_N, held_out_N = subject.selection()
        fitted = round(share * len(fit_N))
        selected = max(1, round(share * len(held_out_N)))
        fit = self._encode(subject, train[fit_N.cpu()[:fitted]])
        held_out = self._encode(subject, train[held_out_N.cpu()[:selected]])
        to_score = self._encode(subject, test[: self.params.images])
        return fit, held_out, to_score

    def _encode(self, subject: Subject, images_NCHW: Tensor) -> EncodedViews:
        features = []
        parts: dict[str, list[Tensor]] = {}
        for images_BCHW in images_NCHW.split(max(1, 1000 // self.params.views)):
            x_BJCHW, values = subject.draw_views(images_BCHW, self.params.views)
            z_BD = subject.encode(x_BJCHW.flatten(0, 1), self.params.layer)
            features.append(z_BD)
            for name, values_BJ in values.items():
                parts.setdefault(name, []).append(values_BJ.flatten())
        drawn = {name: torch.cat(values) for name, values in parts.items()}
        return EncodedViews(torch.cat(features), drawn)


def _found(undertrained: object) -> dict[str, object]:
    """What a protocol says if more training would do better."""
    return {"found": {"undertrained": True}} if undertrained else {}


def _seen(x_B2HW: Tensor) -> Tensor:
    """The parameters (B, 5) that can be seen in views of an image whose channels tell each pixel's row and column.

    They are the crop's centre and size along each, in the view as it is seen, and 1 if it is mirrored.
    """
    row_BHW, column_BHW = x_B2HW.unbind(1)
    top_B = row_BHW[:, 0, 0]
    bottom_B = row_BHW[:, -1, 0]
    left_B = column_BHW[:, 0, 0]
    right_B = column_BHW[:, 0, -1]
    is_mirrored_B = left_B > right_B
    x_B = (left_B + right_B) / 2
    centre_B = torch.where(is_mirrored_B, 1 - x_B, x_B)
    parameters = [
        top_B + bottom_B,
        bottom_B - top_B,
        centre_B,
        (right_B - left_B).abs(),
        is_mirrored_B.float(),
    ]
    return torch.stack(parameters, dim=1)


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return StyleProbe
