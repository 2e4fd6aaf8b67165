"""Style probe: how much of a view's drawn parameters (crop, flip, colour) can be read off its representation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Skip, Split, Subject
from simssl.blocks.probes.regression import ParallelMLP, Standardizer, r2, ridge, train_epochs

PENALTIES = tuple(10.0**exponent for exponent in range(-6, 3))
"""Of the ridge regressions, on standardised columns."""

HIDDEN, BATCH, LR = (256, 256), 256, 1e-3
"""Of the MLP in the ridge regression's place. Ours."""

Predict = Callable[[Tensor], Tensor]


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
        layer: str = "representation"
        "What is measured: the representation, or another layer that the method offers, such as projection."

    needs = frozenset({"test", "views"})

    @classmethod
    def oracle(cls) -> Oracle:
        ramp_8 = torch.linspace(0, 255, 8).to(torch.uint8)
        image_2HW = torch.stack(torch.meshgrid(ramp_8, ramp_8, indexing="ij"))  # each pixel tells its row and column
        train, test = (Split(image_2HW.expand(images, -1, -1, -1).contiguous()) for images in (60, 30))
        found = ("crop_centre_y", "crop_centre_x", "crop_height", "crop_width", "horizontal_flip")
        return Oracle(
            representation=_seen,
            data=Data.of(train, test),
            values={f"{name}/R2": (0.95, 1.0) for name in found},
            noise={f"{name}/R2": (-0.2, 0.1) for name in found},
        )

    def run(self, subject: Subject) -> Result:
        fit, held_out, test = self._views(subject)
        names = [name for name in fit[1] if all(_varies(parameters[name]) for _, parameters in (fit, held_out, test))]
        if not names:
            raise Skip("no parameter of the views varies")
        (x_ND, y_NP), (held_ND, held_NP), (test_ND, test_NP) = (
            (z, torch.stack([parameters[name] for name in names], dim=1)) for z, parameters in (fit, held_out, test)
        )
        probe, chosen_name = (self._ridge, "penalty") if self.params.probe == "ridge" else (self._mlp, "epochs")
        predicted_NP, selected = probe(subject, (x_ND, y_NP), (held_ND, held_NP), test_ND)
        r2_P = r2(predicted_NP, test_NP).tolist()
        metrics = {
            f"{name}/R2": Metric(value, "R2", "higher", {"selected": {chosen_name: chosen}})
            for name, value, chosen in zip(names, r2_P, selected, strict=True)
        }
        mean = Metric(sum(r2_P) / len(r2_P), "R2", "higher", {"mean over": names})
        return Result({"R2": mean, **metrics}, protocol=self._protocol(subject.data))

    def _protocol(self, data: Data) -> dict[str, object]:
        chosen = "penalty" if self.params.probe == "ridge" else "epochs"
        return {
            "split": "views of test images",
            "probe": "ridge regression, float64" if self.params.probe == "ridge" else "MLP D-256-256-P",
            "layer": self.params.layer,
            "features": f"{self.params.layer}, standardised",
            "selection": f"{chosen} of each parameter on views of {data.held_out}; then refitted on all",
        }

    def _views(self, subject: Subject) -> list[tuple[Tensor, dict[str, Tensor]]]:
        """Representations (N, D) and parameters, each (N,), of views: to fit on, to select on, to score."""
        assert subject.data.test is not None
        fit_N, held_out_N = (index_N.cpu() for index_N in subject.selection())
        share = min(1.0, self.params.images / len(subject.data.train))
        train, test = subject.data.train.images, subject.data.test.images
        chosen = (fit_N[: round(share * len(fit_N))], held_out_N[: max(1, round(share * len(held_out_N)))])
        return [
            self._encode(subject, images_NCHW)
            for images_NCHW in (train[chosen[0]], train[chosen[1]], test[: self.params.images])
        ]

    def _encode(self, subject: Subject, images_NCHW: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        features, parameters = [], []
        for images_BCHW in images_NCHW.split(max(1, 1000 // self.params.views)):
            x_BJCHW, drawn = subject.draw_views(images_BCHW, self.params.views)
            features.append(subject.encode(x_BJCHW.flatten(0, 1), self.params.layer))
            parameters.append(drawn)
        names = parameters[0]
        return torch.cat(features), {n: torch.cat([p[n].flatten() for p in parameters]) for n in names}

    def _ridge(
        self, subject: Subject, fit: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], test_ND: Tensor
    ) -> tuple[Tensor, list[float]]:
        best_P = r2(ridge(*fit, PENALTIES)(held_out[0]), held_out[1]).argmax(0)
        x_ND, y_NP = (torch.cat(parts) for parts in zip(fit, held_out, strict=True))
        predicted_LNP = ridge(x_ND, y_NP, PENALTIES)(test_ND)
        columns = [predicted_LNP[best, :, p] for p, best in enumerate(best_P.tolist())]
        return torch.stack(columns, dim=1), [PENALTIES[best] for best in best_P.tolist()]

    def _mlp(
        self, subject: Subject, fit: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], test_ND: Tensor
    ) -> tuple[Tensor, list[float]]:
        after_each = self._train(subject, *fit, held_out[0], self.params.epochs)
        best_P = torch.stack([r2(predicted, held_out[1]) for predicted in after_each]).argmax(0)
        x_ND, y_NP = (torch.cat(parts) for parts in zip(fit, held_out, strict=True))
        predicted_ENP = torch.stack(self._train(subject, x_ND, y_NP, test_ND, int(best_P.max()) + 1))
        columns = [predicted_ENP[best, :, p] for p, best in enumerate(best_P.tolist())]
        return torch.stack(columns, dim=1), [best + 1 for best in best_P.tolist()]

    def _train(self, subject: Subject, x_ND: Tensor, y_NP: Tensor, new_ND: Tensor, epochs: int) -> list[Tensor]:
        """The MLP's predictions (N, P) for new features after each epoch."""
        scale_x, scale_y = Standardizer(x_ND), Standardizer(y_NP)
        target_NP = scale_y(y_NP)
        network = ParallelMLP(1, (x_ND.shape[1], *HIDDEN, y_NP.shape[1]), subject.generator)

        def loss(predicted_1BP: Tensor, index_B: Tensor) -> Tensor:
            return (predicted_1BP[0] - target_NP[index_B]).square().mean()

        training = train_epochs(
            network, scale_x(x_ND), loss, epochs=epochs, batch=BATCH, lr=LR, generator=subject.generator
        )
        return [scale_y.inverse(network(scale_x(new_ND))[0]) for _ in training]


def _seen(x_B2HW: Tensor) -> Tensor:
    """Of views of an image whose channels tell each pixel's row and column: centre and size of the crop along each, in
    the view as it is seen, and whether it is mirrored (B, 5)."""
    row_BHW, column_BHW = x_B2HW.unbind(1)
    top_B, bottom_B = row_BHW[:, 0, 0], row_BHW[:, -1, 0]
    left_B, right_B = column_BHW[:, 0, 0], column_BHW[:, 0, -1]
    mirrored_B = (left_B > right_B).float()
    x_B = (left_B + right_B) / 2
    centre_B = torch.where(left_B > right_B, 1 - x_B, x_B)
    return torch.stack([top_B + bottom_B, bottom_B - top_B, centre_B, (right_B - left_B).abs(), mirrored_B], dim=1)


def _varies(values_N: Tensor) -> bool:
    return bool(values_N.min() < values_N.max())


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return StyleProbe
