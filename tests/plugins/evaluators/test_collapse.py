"""collapse, on representations whose spread within and between images is known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from simssl.api import Data, Posterior, Result, Split, Target
from simssl.blocks.losses.gaussian import kl_standard
from simssl.blocks.statistics.geometry import most_variance_ratio
from simssl.plugin.registry import Registry

D, IMAGES = 4, 1000

CONSTANT = "all images have the same representation"
NO_ALPHA = {
    "spectrum/alpha_req": "it is fitted to the eigenvalues from the fourth on, of which fewer than three are above 0"
}
"""What is skipped of D dimensions."""


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Known:
    """A subject whose representation is a function of D numbers of the image and D of the view, all N(0, 1)."""

    def __init__(self, represent: Callable[[Tensor, Tensor], Tensor], images: int = IMAGES) -> None:
        pixels_N = torch.arange(images)
        images_NCHW = torch.stack([pixels_N // 256, pixels_N % 256], 1).to(torch.uint8).view(images, 1, 1, 2)
        self.data = Data.of(Split(images_NCHW[:2]), Split(images_NCHW))
        self.device = torch.device("cpu")
        self.generator = torch.Generator().manual_seed(0)
        self.represent, self.of_images_ND = represent, normal(images, D, seed=1)
        self.variance_ND: Tensor | None = None
        self.sigma2: float | None = None
        self.shared: tuple[str, ...] = ()

    def draw_views(self, images_BCHW: Tensor, J: int) -> tuple[Tensor, dict[str, Tensor]]:
        number_B = (images_BCHW.flatten(1).long() * torch.tensor([256, 1])).sum(1)
        of_image_BJD = self.of_images_ND[number_B][:, None].expand(-1, J, -1)
        of_view_BJD = torch.randn(of_image_BJD.shape, generator=self.generator)
        return torch.cat([of_image_BJD, of_view_BJD], 2), {"of view": of_view_BJD[..., 0]}

    def encode(self, x_BN: Tensor, layer: str = "representation") -> Tensor:
        return self.represent(x_BN[:, :D], x_BN[:, D:])

    def features(self, split: str, layer: str = "representation") -> Tensor:
        return self.represent(self.of_images_ND, torch.zeros_like(self.of_images_ND))

    def images(self, split: str, index_B: Tensor) -> Tensor:
        return index_B

    def posterior(self, index_B: Tensor) -> Posterior:
        variance_BD = None if self.variance_ND is None else self.variance_ND[index_B]
        return Posterior(self.features("test")[index_B], variance_BD)


def run(subject: Known, **params: object) -> Result:
    plugin = Registry(builtins_only=True).load("evaluator", "collapse")
    result: Result = plugin(plugin.Params(**params)).run(subject)
    assert all(math.isfinite(metric.value) for metric in result.metrics.values())
    json.dumps([dict(metric.protocol) for metric in result.metrics.values()], allow_nan=False)
    return result


def value(result: Result, name: str) -> float:
    return result.metrics[name].value


@pytest.mark.parametrize("views", [2, 10])
@pytest.mark.parametrize("ratio", [0.05, 1.0, 4.0])
def test_a_known_ratio_is_found_with_any_number_of_views(ratio: float, views: int) -> None:
    result = run(Known(lambda image, view: image + ratio**0.5 * view), views=views)
    assert value(result, "within_over_between") == pytest.approx(ratio, rel=0.15)
    per_latent = result.metrics["within_over_between"].protocol["found"]["per latent"]
    assert per_latent == pytest.approx([ratio] * D, rel=0.4)


def test_a_representation_of_the_image_alone() -> None:
    result = run(Known(lambda image, view: image))
    assert value(result, "within_over_between") == pytest.approx(0, abs=1e-12)
    assert value(result, "alignment") == pytest.approx(0, abs=1e-12)
    assert value(result, "uniformity") < -2
    assert value(result, "effective_rank") == pytest.approx(D, rel=0.01)


def test_a_representation_of_the_view_alone() -> None:
    result = run(Known(lambda image, view: view + 1e-3 * image))
    assert 50 < value(result, "within_over_between") <= most_variance_ratio(IMAGES, 10) + 1e-6
    assert value(result, "alignment") == pytest.approx(2, rel=0.02)  # as far as views of different images


def test_views_of_other_images_have_nothing_in_common() -> None:
    """The rows stand in another order."""
    generator = torch.Generator().manual_seed(3)
    result = run(Known(lambda image, view: image[torch.randperm(len(image), generator=generator)]))
    assert value(result, "within_over_between") > 20
    assert value(result, "alignment") == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("of_view", [0.1, 1000.0])
def test_a_ratio_that_is_held_says_so(of_view: float) -> None:
    metric = run(Known(lambda image, view: image + of_view * view), images=50).metrics["within_over_between"]
    held = metric.value >= most_variance_ratio(50, 10)
    assert metric.protocol["found"]["held"] == held
    assert held or of_view < 1


def test_a_test_split_of_one_image_is_refused_before_training() -> None:
    plugin = Registry(builtins_only=True).load("evaluator", "collapse")
    with pytest.raises(ValueError, match="nothing to compare in a test split of one image"):
        plugin(plugin.Params()).check(Known(lambda image, view: image, images=1).data)


def test_some_latents_may_be_of_the_image_and_others_of_the_view() -> None:
    half = torch.tensor([1.0, 1, 0, 0])
    result = run(Known(lambda image, view: image * half + view * (1 - half)))
    assert value(result, "within_over_between") == pytest.approx(1, rel=0.1)
    per_latent = result.metrics["within_over_between"].protocol["found"]["per latent"]
    assert per_latent[:2] == [0, 0]
    assert min(per_latent[2:]) > 50


def test_a_turned_representation_has_the_same_totals() -> None:
    rotation = torch.linalg.qr(normal(D, D, seed=5)).Q
    scale = torch.tensor([1.0, 2, 3, 4])
    plain = run(Known(lambda image, view: scale * image + view))
    turned = run(Known(lambda image, view: (scale * image + view) @ rotation))
    for name, metric in plain.metrics.items():
        assert value(turned, name) == pytest.approx(metric.value, rel=1e-4), name
    per_latent = [r.metrics["within_over_between"].protocol["found"]["per latent"] for r in (plain, turned)]
    assert per_latent[0] != pytest.approx(per_latent[1], rel=0.1)


def test_a_constant_representation_is_skipped_where_it_has_no_number() -> None:
    subject = Known(lambda image, view: torch.full_like(image, 3.0))
    subject.variance_ND = torch.ones(IMAGES, D)
    result = run(subject)
    constant = ("within_over_between", "effective_rank", "spectrum/lidar")
    assert result.skipped == dict.fromkeys(constant, CONSTANT) | NO_ALPHA
    assert value(result, "spectrum/rankme") == pytest.approx(1, abs=1e-4)  # it does not centre
    assert (value(result, "alignment"), value(result, "active_units")) == (0, 0)
    assert value(result, "uniformity") == pytest.approx(0, abs=1e-9)
    assert value(result, "latents/kl") == pytest.approx(4.5)


def test_a_dead_latent_has_no_ratio_of_its_own() -> None:
    alive = torch.tensor([1.0, 1, 1, 0])
    result = run(Known(lambda image, view: (image + view) * alive))
    assert result.metrics["within_over_between"].protocol["found"]["per latent"][3] is None
    assert value(result, "within_over_between") == pytest.approx(1, rel=0.1)


def test_units_of_a_posterior() -> None:
    scale = torch.tensor([1.0, 0.2, 0.09, 0.0])  # variances 1, 0.04, 0.008, 0
    subject = Known(lambda image, view: scale * image)
    subject.variance_ND = 0.1 + normal(IMAGES, D, seed=7).abs()
    result = run(subject)
    assert value(result, "active_units") == 2
    kl = kl_standard(subject.features("test").double(), subject.variance_ND.double().log()).mean()
    assert D * value(result, "latents/kl") == pytest.approx(kl.item())
    assert sum(result.metrics["latents/kl"].protocol["found"]["per latent"]) == pytest.approx(kl.item(), rel=1e-3)
    assert result.images["latents"].shape == (1, 320, 640)


def test_without_a_variance_there_are_no_units() -> None:
    result = run(Known(lambda image, view: image + view))
    of_units = ("active_units", "latents/kl")
    assert result.skipped == dict.fromkeys(of_units, "the posterior has no variance") | NO_ALPHA
    assert result.images["latents"].shape == (1, 160, 640)
    projected = run(Known(lambda image, view: image + view), layer="projection")
    assert set(projected.skipped) == {*of_units, *NO_ALPHA}


def test_images_are_drawn_and_seeds_repeat() -> None:
    results = [run(Known(lambda image, view: image + view), images=50, views=3) for _ in range(2)]
    assert results[0].metrics == results[1].metrics
    assert results[0].protocol["split"] == "3 views of each of 50 test images"
    assert value(results[0], "within_over_between") == pytest.approx(1, rel=0.5)


def test_seeds_of_a_method_share_a_column(simssl: Callable[..., Any], small: Callable[..., Path]) -> None:
    """What was found of each latent is no difference of protocol; KL and active units of a VAE stand in the file."""
    result = simssl("run", small(evaluators=[{"name": "collapse"}], grid={"seed": [0, 1]}))
    assert result.exit_code == 0, result.stderr
    assert "±" in result.stdout
    assert "[" not in result.stdout
    assert "/kl" not in result.stdout  # the summary alone
    first, second = (json.loads(p.read_text())["metrics"] for p in Path("runs/small").glob("*/metrics.json"))
    assert set(first) == {f"collapse/{key}" for key in (*result_keys(), *SPECTRA, "latents/kl", "active_units")}
    assert first["collapse/within_over_between"] != second["collapse/within_over_between"]
    assert len(list(Path("runs/small").glob("*/images/collapse/latents.png"))) == 2


SPECTRA = ("spectrum/rankme", "spectrum/lidar", "spectrum/alpha_req")


def result_keys() -> tuple[str, ...]:
    return "within_over_between", "effective_rank", "alignment", "uniformity"


# --- spectra ------------------------------------------------------------------------------------------


def test_measures_without_labels_are_of_the_training_images() -> None:
    """Of RankMe the images as they are, of LiDAR their views; both may choose settings."""
    result = run(Known(lambda image, view: image + view))
    spectra = {name: metric for name, metric in result.metrics.items() if name.startswith("spectrum/")}
    assert set(spectra) == {"spectrum/rankme", "spectrum/lidar"}
    for metric in spectra.values():
        assert metric.held_out == metric.value
        assert "train" in metric.protocol["split"]
    assert value(result, "spectrum/rankme") == pytest.approx(D, rel=0.01)
    assert value(result, "spectrum/lidar") == pytest.approx(1, abs=1e-3)  # the data have two training images


# --- groups --------------------------------------------------------------------------------------------------


def grouped(within: float = 0.25, between: float = 4.0) -> Known:
    """Images of ten groups of uneven sizes, whose variances within and between them are these in each latent."""
    subject = Known(lambda image, view: image + view)
    kind_N = (normal(IMAGES, seed=11) * 2.5 + 5).clamp(0, 9).long()
    subject.of_images_ND = between**0.5 * normal(10, D, seed=12)[kind_N] + within**0.5 * normal(IMAGES, D, seed=13)
    kinds = tuple("abcdefghij")
    test = subject.data.test
    assert test is not None
    targets = {"kind": Target(kind_N, kinds), "size": Target(torch.rand(IMAGES))}
    subject.data = replace(subject.data, test=replace(test, targets=targets))
    return subject


def by_hand(subject: Known) -> float:
    """The mean over the latents of the variance within groups."""
    assert subject.data.test is not None
    kind_N = subject.data.test.targets["kind"].values
    z_ND = subject.features("test").double()
    total = sum(float((z_ND[kind_N == k] - z_ND[kind_N == k].mean(0)).square().sum()) for k in kind_N.unique())
    return total / (IMAGES - len(kind_N.unique())) / D


@pytest.mark.parametrize("how", ["by the run's positives", "by a parameter"])
def test_groups_are_measured_on_images_as_they_are(how: str) -> None:
    subject = grouped()
    subject.sigma2 = 0.3
    subject.variance_ND = torch.full((IMAGES, D), 0.05)
    by_parameter = how == "by a parameter"
    subject.shared = () if by_parameter else ("kind",)
    result = run(subject, **({"groups": ("kind",)} if by_parameter else {}))
    within = result.metrics["group_within"]
    assert within.value == pytest.approx(by_hand(subject))
    assert within.value == pytest.approx(0.25, rel=0.1)
    assert within.protocol["found"]["sigma2"] == 0.3
    assert within.protocol["found"]["variance of the posteriors"] == pytest.approx(0.05)
    assert len(within.protocol["found"]["per latent"]) == D
    assert within.protocol["groups share"] == ["kind"]
    ratio = result.metrics["group_within_over_between"]
    assert 0.02 < ratio.value < 0.2
    assert ratio.protocol["found"]["held"] is False


def test_permuted_groups_are_held_at_chance() -> None:
    subject = grouped()
    subject.of_images_ND = subject.of_images_ND[torch.randperm(IMAGES, generator=torch.Generator().manual_seed(0))]
    assert value(run(subject, groups=("kind",)), "group_within_over_between") > 10


def test_images_without_a_group_do_not_count() -> None:
    subject = grouped()
    assert subject.data.test is not None
    kind_N = subject.data.test.targets["kind"].values
    kind_N[:400] = -1
    subject.of_images_ND[:400] = 1000
    metric = run(subject, groups=("kind",)).metrics["group_within"]
    assert metric.value == pytest.approx(0.25, rel=0.1)
    assert metric.protocol["images"] == 600


def test_without_groups_nothing_is_different() -> None:
    subject, with_groups = grouped(), grouped()
    with_groups.shared = ("kind",)
    plain, more = run(subject), run(with_groups)
    assert not [key for key in (*plain.metrics, *plain.skipped) if key.startswith("groups")]
    assert {key: more.metrics[key] for key in plain.metrics} == dict(plain.metrics)
    plugin = Registry(builtins_only=True).load("evaluator", "collapse")
    assert "views_or_groups" in plugin(plugin.Params()).needs
    assert plugin(plugin.Params(groups=("kind",))).needs == {"test"}  # it needs no views
    assert plugin.Params().model_dump() == {"views": 10, "images": 1000, "layer": "representation"}  # as in older runs


def test_views_that_do_not_vary_leave_the_groups() -> None:
    subject = grouped()
    subject.shared = ("kind",)
    subject.draw_views = lambda x, J: (Known.draw_views(subject, x, J)[0], {})  # type: ignore[method-assign]
    result = run(subject)
    assert {name for name, reason in result.skipped.items() if reason == "the views do not vary"} == {
        "within_over_between",
        "alignment",
        "uniformity",
        "spectrum/lidar",
    }
    assert value(result, "group_within") == pytest.approx(by_hand(subject))


def test_test_images_without_the_shared_target_are_no_error() -> None:
    """The training images may have groups that the test images have not."""
    subject = grouped()
    subject.shared = ("group",)
    assert run(subject).skipped["group_within"].startswith("of test: the data set has no groups of its own")


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        (("kinds",), "no target 'kinds'; images can share kind"),
        (("size",), "target 'size' has no classes to agree in"),
        (("group",), "no groups of its own"),
    ],
)
def test_groups_that_are_not_there_are_refused_before_training(groups: tuple[str, ...], sentence: str) -> None:
    plugin = Registry(builtins_only=True).load("evaluator", "collapse")
    with pytest.raises(ValueError, match=sentence):
        plugin(plugin.Params(groups=groups)).check(grouped().data)


def test_a_run_with_positives_is_measured_on_its_groups(simssl: Callable[..., Any], small: Callable[..., Path]) -> None:
    """Even if its views are of images as they are: what varies is the image of the group."""
    file = small(evaluators=[{"name": "collapse"}], positives={"share": ["class"]}, views={})
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    (metrics,) = (json.loads(path.read_text())["metrics"] for path in Path("runs/small").glob("*/metrics.json"))
    assert metrics["collapse/group_within"]["protocol"]["groups share"] == ["class"]
    assert metrics["collapse/alignment"]["skipped"] == "the views do not vary"
