"""What TensorBoard is given to compare runs and to look at representations, as TensorBoard's own code reads it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.api_pb2 import ListSessionGroupsRequest, Status
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.list_session_groups import Handler
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from simssl.plugin.registry import Registry

Command = Callable[..., Result]
Write = Callable[..., Path]
NextCommand = Callable[[], None]
PowerCut = Callable[[int], AbstractContextManager[None]]

TRACKERS = [{"name": "tensorboard"}]


def table(folder: Path) -> dict[str, tuple[dict[str, Any], dict[str, float]]]:
    """The rows of the tab HPARAMS: run -> settings and metrics."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    provider = MultiplexerDataProvider(multiplexer.Reload(), str(folder))
    context, request = Context(TBContext(data_provider=provider)), RequestContext()
    settings = context.hparams_metadata(request, "")
    more = context.hparams_from_data_provider(request, "", limit=None)
    experiment = context.experiment_from_metadata(request, "", True, settings, more)
    ask = ListSessionGroupsRequest(slice_size=100, allowed_statuses=Status.values())
    for metric in experiment.metric_infos:
        ask.col_params.add(metric=metric.name)
    rows = list(Handler(request, context, "", ask).run().session_groups)
    assert all(len(row.sessions) == 1 for row in rows)
    assert len({row.name for row in rows}) == len(rows)
    return {
        row.name: (
            {key: getattr(value, value.WhichOneof("kind")) for key, value in row.hparams.items()},
            {metric.name.tag: metric.value for metric in row.metric_values},
        )
        for row in rows
    }


def only(folder: Path = Path("runs")) -> tuple[dict[str, Any], dict[str, float]]:
    (row,) = table(folder).values()
    return row


def recorded(run: Path) -> dict[str, float]:
    import json

    metrics = json.loads((run / "metrics.json").read_text())["metrics"]
    return {key: entry["value"] for key, entry in metrics.items() if "value" in entry}


def test_the_runs_of_a_grid_are_rows_of_one_table(simssl: Command, small: Write) -> None:
    """Settings and metrics that one method has alone are columns too."""
    methods = [{"name": "simvae", "J": 3}, {"name": "simclr", "temperature": 0.2}]
    evaluators = [{"name": "knn"}, {"name": "reconstruction"}]
    file = small(trackers=TRACKERS, evaluators=evaluators, grid={"objective": methods, "seed": [0, 1]})
    assert simssl("run", file).exit_code == 0
    rows = table(Path("runs"))
    assert set(rows) == {f"small/{run.name}" for run in Path("runs/small").iterdir()}
    for name, (settings, metrics) in rows.items():
        method, seed = settings["objective"], settings["seed"]
        assert name.startswith(f"small/{method}-seed{seed:.0f}-")
        assert settings["experiment"] == "small"
        assert (settings["dataset"], settings["backbone"], settings["backbone.hidden"]) == ("digits", "mlp", "[16]")
        assert settings["training.optimizer"] == "adam"
        assert settings["training.views"] == 1800
        assert settings["views.crop.scale"] == "[0.4, 1.0]"
        assert settings.get("objective.J") == {"simvae": 3, "simclr": None}[method]
        assert settings.get("objective.temperature") == {"simvae": None, "simclr": 0.2}[method]
        assert not {"name", "trackers", "evaluators", "training.log_every"} & settings.keys()
        for key, value in recorded(Path("runs") / name).items():
            assert metrics[key] == pytest.approx(value, rel=1e-6)
        assert "_training/loss" in metrics
        assert ("reconstruction/mse" in metrics) == (method == "simvae")
    assert all(run.is_dir() for run in Path("runs/small").iterdir())
    folders = {path.name for run in Path("runs/small").iterdir() for path in run.iterdir() if path.is_dir()}
    assert folders == {"features", "images", "projector"}


def test_a_run_that_was_killed_and_went_on_is_one_row(
    simssl: Command, small: Write, power_cut: PowerCut, next_command: NextCommand
) -> None:
    file = small(trackers=TRACKERS)
    with power_cut(18):
        assert simssl("run", file).exit_code == 1
    assert table(Path("runs")) == {}
    next_command()
    assert simssl("run", file).exit_code == 0
    settings, metrics = only()
    assert settings["objective"] == "simvae"
    assert metrics["knn/class/accuracy"] == pytest.approx(recorded(next(Path("runs/small").iterdir())).popitem()[1])


def test_a_run_that_is_measured_again_is_one_row_with_the_last_numbers(
    simssl: Command, small: Write, next_command: NextCommand
) -> None:
    assert simssl("run", small(trackers=TRACKERS, evaluators=[{"name": "knn", "k": 1}])).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    settings, before = only()
    next_command()
    assert simssl("evaluate", run, "-e", "{name: knn, k: 200}", "-e", "reconstruction").exit_code == 0
    again, after = only()
    assert again == settings
    assert after["knn/class/accuracy"] == pytest.approx(recorded(run)["knn/class/accuracy"])
    assert after["knn/class/accuracy"] != before["knn/class/accuracy"]
    assert {"reconstruction/mse", "_training/loss"} <= after.keys()


# --- the projector ---------------------------------------------------------------------------------------


def projected(run: Path) -> tuple[np.ndarray, list[list[str]], np.ndarray, tuple[int, ...]]:
    """Representations, rows of labels, the sprite, and a thumbnail's width and height."""
    config = text_format.Parse((run / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    assert embedding.tensor_name == "representation"
    points = np.loadtxt(run / embedding.tensor_path, delimiter="\t", ndmin=2)
    labels = [line.split("\t") for line in (run / embedding.metadata_path).read_text().splitlines()]
    sprite = np.asarray(Image.open(run / embedding.sprite.image_path))
    return points, labels, sprite, tuple(embedding.sprite.single_image_dim)


def test_the_projector_has_representations_labels_and_thumbnails(simssl: Command, small: Write) -> None:
    assert simssl("run", small(trackers=TRACKERS)).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    points, (head, *rows), sprite, size = projected(run)
    np.testing.assert_allclose(points, np.load(run / "features" / "representation-test.npy"), rtol=1e-5, atol=1e-30)
    digits = Registry().load("dataset", "digits")
    test = digits(digits.Params()).load(Path(), lambda *_: None).test
    assert head == ["class", "index"]
    assert rows == [[str(label), str(i)] for i, label in enumerate(test.targets["class"].values.tolist())]
    assert size == (8, 8)
    assert sprite.shape == (19 * 8, 19 * 8)  # 19 * 19 >= 360
    tiles = sprite.reshape(19, 8, 19, 8).swapaxes(1, 2).reshape(361, 8, 8)
    assert np.array_equal(tiles[:360], test.images[:, 0].numpy())
    assert (tiles[360:] == 255).all()


def test_points_are_spread_over_the_split_or_left_out(simssl: Command, small: Write) -> None:
    file = small(trackers=[{"name": "tensorboard", "points": 100}])
    assert simssl("run", file).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    points, (_, *rows), sprite, _ = projected(run)
    index = [int(row[1]) for row in rows]
    assert index == [i * 360 // 100 for i in range(100)]
    features = np.load(run / "features" / "representation-test.npy")
    np.testing.assert_allclose(points, features[index], rtol=1e-5, atol=1e-30)
    assert sprite.shape == (80, 80)
    assert simssl("run", small(trackers=[{"name": "tensorboard", "points": 0}], seed=1)).exit_code == 0
    (run,) = (run for run in Path("runs/small").iterdir() if "seed1" in run.name)
    assert not (run / "projector_config.pbtxt").exists()


def test_large_colour_images_without_labels(simssl: Command, small: Write) -> None:
    """Thumbnails are shrunk; a column of metadata that is alone has no name, as the projector wants it."""
    Registry().load("dataset", "image_folder").example(Path("data"))
    file = small(
        trackers=TRACKERS,
        dataset={"name": "image_folder", "path": "photos", "size": 96, "labels": False},
        training={"views": 6, "batch_views": 6},
        evaluators=[{"name": "reconstruction"}],
    )
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    assert "detached" not in result.stderr
    (run,) = Path("runs/small").iterdir()
    points, labels, sprite, size = projected(run)
    assert labels == [["0"]]
    assert points.shape == (1, 4)
    assert size == (64, 64)
    assert sprite.shape == (64, 64, 3)


def test_without_a_test_split_or_an_evaluator_there_is_no_projector(
    simssl: Command, small: Write, package: Callable[..., Path]
) -> None:
    code = """
        import torch

        import simssl
        from simssl.api import Data, Dataset, Split, Target

        class Unsplit(Dataset):
            '''Noise to train on.'''
            def load(self, root, progress):
                images = torch.randint(0, 256, (120, 1, 8, 8), dtype=torch.uint8)
                return Data.of(Split(images, {"class": Target(torch.arange(120) % 2, ("a", "b"), "content")}))

        @simssl.hookimpl
        def simssl_dataset():
            return Unsplit
    """
    package("unsplit-dist", "unsplit_dataset", code, dataset="unsplit")
    for number, changes in enumerate([{"dataset": {"name": "unsplit"}}, {"evaluators": []}]):
        result = simssl("run", small(trackers=TRACKERS, **changes), "--runs", f"runs{number}")
        assert result.exit_code == 0
        assert "detached" not in result.stderr
        assert only(Path(f"runs{number}"))[0]["objective"] == "simvae"
        assert not list(Path(f"runs{number}").rglob("projector_config.pbtxt"))
