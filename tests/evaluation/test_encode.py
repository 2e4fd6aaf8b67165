"""`simssl encode`: representations of a user's own images, and what is said where there can be none."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image

from simssl.api import Data, Split, Target
from simssl.errors import RunError
from simssl.evaluation.encode import _targets
from simssl.evaluation.trained import load_trained
from simssl.experiment.yaml12 import dump, read
from simssl.plugin.registry import Registry
from simssl.store import folder

Command = Callable[..., Result]
Write = Callable[..., Path]

PLUGINS = Registry(builtins_only=True)


@pytest.fixture
def run(trained: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a trained SimVAE, of which there is no more than a user might have moved."""
    copy = tmp_path / "moved"
    copy.mkdir()
    for name in ("checkpoint.pt", "experiment.yaml"):
        shutil.copy(trained["simvae"] / name, copy / name)
    return copy


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twenty test digits as grey PNGs, in two folders."""
    for i, pixels_1HW in enumerate(digits()[:20].numpy()):
        file = tmp_path / "pictures" / ("even" if i % 2 == 0 else "odd") / f"{i:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels_1HW[0]).save(file)
    return tmp_path / "pictures"


ORDER = [*range(0, 20, 2), *range(1, 20, 2)]
"""The digits in the order of their files' names."""


def digits() -> torch.Tensor:
    plugin = PLUGINS.load("dataset", "digits")
    images: torch.Tensor = plugin(plugin.Params()).load(Path(), lambda *_: None).test.images
    return images


def features(run: Path, split: str = "test") -> np.ndarray:
    representations: np.ndarray = np.load(run / "features" / f"representation-{split}.npy")
    return representations


def encoded(simssl: Command, *words: object, out: str = "out.npz") -> dict[str, Any]:
    result = simssl("encode", *words, "-o", out)
    assert result.exit_code == 0, result.stderr
    with np.load(out, allow_pickle=False) as file:
        return dict(file)


def test_a_data_sets_representations_are_those_that_evaluators_measure(
    trained: dict[str, Path], simssl: Command
) -> None:
    arrays = encoded(simssl, trained["simvae"], "digits")
    for split, N in (("train", 1437), ("test", 360)):
        here = arrays["split"] == split
        assert np.array_equal(arrays["mean"][here], features(trained["simvae"], split))
        assert arrays["index"][here].tolist() == list(range(N))
    assert arrays["variance"].shape == arrays["mean"].shape == (1797, 4)
    assert arrays["mean"].dtype == arrays["variance"].dtype == np.float32
    assert (arrays["variance"] > 0).all()
    folder_name = trained["simvae"].name
    of_the_run = {key: arrays[key].item() for key in ("experiment", "objective", "seed", "run", "trained_on")}
    assert of_the_run == {
        "experiment": "small",
        "objective": "simvae",
        "seed": 0,
        "run": folder_name,
        "trained_on": "ab2332773d559275",
    }


def test_a_data_sets_labels_are_in_the_file(run: Path, simssl: Command) -> None:
    arrays = encoded(simssl, run, "digits")
    plugin = Registry(builtins_only=True).load("dataset", "digits")
    data = plugin(plugin.Params()).load(Path(), lambda *_: None)
    labels = torch.cat([data.train.targets["class"].values, data.test.targets["class"].values])
    assert arrays["target_class"].tolist() == labels.tolist()
    assert arrays["classes_class"].tolist() == [str(i) for i in range(10)]


def test_an_image_without_a_target_has_no_label() -> None:
    known = Target(torch.tensor([1, 0]), ("a", "b"))
    value = Target(torch.tensor([0.5, 0.25]))
    images_NCHW = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    train = Split(images_NCHW, {"kind": known, "pose/x": value})
    arrays = _targets(Data.of(train, Split(images_NCHW)))
    assert arrays["target_kind"].tolist() == [1, 0, -1, -1]
    assert arrays["target_pose_x"][:2].tolist() == [0.5, 0.25]
    assert np.isnan(arrays["target_pose_x"][2:]).all()
    assert set(arrays) == {"target_kind", "classes_kind", "target_pose_x"}


def test_the_command_says_what_it_wrote(trained: dict[str, Path], simssl: Command, pictures: Path) -> None:
    result = simssl("encode", trained["simclr"], pictures, "-o", "out.npz")
    assert result.stdout == "out.npz: 20 images, mean in 4 dimensions\n"
    assert "variance" not in np.load("out.npz")
    result = simssl("encode", trained["simvae"], pictures / "odd" / "01.png", "-o", "one.npz")
    assert result.stdout == "one.npz: 1 image, mean and variance in 4 dimensions\n"
    assert np.load("one.npz")["files"].tolist() == ["01.png"]


def test_a_folder_of_pictures_is_the_data_set_itself(
    trained: dict[str, Path], run: Path, simssl: Command, pictures: Path
) -> None:
    (pictures / "notes.txt").write_text("what they are")
    arrays = encoded(simssl, run, pictures)
    assert arrays["files"].tolist() == [f"{'odd' if i % 2 else 'even'}/{i:02d}.png" for i in ORDER]
    np.testing.assert_allclose(arrays["mean"], features(trained["simvae"])[ORDER], rtol=1e-5, atol=1e-6)
    assert "split" not in arrays
    result = simssl("encode", run, pictures, "-o", "again.npz")
    assert "left out, no image by its name: notes.txt" in result.stderr
    assert Path("again.npz").read_bytes() == Path("out.npz").read_bytes()


def enlarge(image: Image.Image) -> Image.Image:
    return image.resize((80, 80), Image.Resampling.NEAREST)


def widen(image: Image.Image) -> Image.Image:
    wide = Image.new("L", (20, 8), 77)
    wide.paste(image, (6, 0))
    return wide


def colour(image: Image.Image) -> Image.Image:
    return image.convert("RGB")


def deepen(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image).astype(np.uint16) * 256 + 99)


@pytest.mark.parametrize(("change", "exact"), [(enlarge, False), (widen, True), (colour, True), (deepen, True)])
def test_size_proportions_and_mode_do_not_matter(
    change: Callable[[Image.Image], Image.Image], exact: bool, run: Path, simssl: Command, pictures: Path
) -> None:
    as_they_are = encoded(simssl, run, pictures)["mean"]
    for file in pictures.rglob("*.png"):
        change(Image.open(file)).save(file)
    changed = encoded(simssl, run, pictures, out="changed.npz")["mean"]
    if exact:
        assert np.array_equal(changed, as_they_are)
    else:
        assert np.abs(changed - as_they_are).mean() < 0.4 * as_they_are.std()


def test_a_picture_is_turned_as_its_exif_says(run: Path, simssl: Command, pictures: Path) -> None:
    upright = encoded(simssl, run, pictures)["mean"]
    turned = Image.Exif()
    turned[0x0112] = 6
    for file in pictures.rglob("*.png"):
        Image.open(file).transpose(Image.Transpose.ROTATE_90).save(file, exif=turned)
    assert np.array_equal(encoded(simssl, run, pictures, out="turned.npz")["mean"], upright)


def test_the_runs_own_data_need_not_be_there(simssl: Command, small: Write) -> None:
    """Colour, another size of views, and networks with batch norm."""
    PLUGINS.load("dataset", "celeba").example(Path("data"))
    file = small(
        dataset={"name": "celeba", "size": 24},
        views={"size": 16},
        backbone={"name": "convnet"},
        training={"views": 12, "batch_views": 6},
        evaluators=[{"name": "knn", "k": 1, "targets": ["gender"]}],
        objective={"name": "vae"},
    )
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    (run,) = Path("runs/small").iterdir()
    own = encoded(simssl, run, "celeba")
    assert np.array_equal(own["mean"][own["split"] == "test"], features(run))
    faces = sorted(Path("data/celeba/img_align_celeba").rename("faces").iterdir())
    shutil.rmtree("data")
    arrays = encoded(simssl, run, "faces", out="faces.npz")
    assert arrays["files"].tolist() == [face.name for face in faces]
    np.testing.assert_allclose(arrays["mean"], own["mean"], rtol=1e-4, atol=1e-5)


def test_another_data_set_is_brought_to_the_runs_shape(run: Path, simssl: Command) -> None:
    for name in ("mnist", "cifar10"):
        PLUGINS.load("dataset", name).example(Path("data"))
    assert encoded(simssl, run, "mnist")["mean"].shape == (80, 4)
    assert encoded(simssl, run, "cifar10", "--force")["mean"].shape == (48, 4)


def test_a_folder_goes_before_a_data_set_of_its_name_and_settings_say_which_is_meant(
    run: Path, simssl: Command, pictures: Path
) -> None:
    pictures.rename("digits")
    assert len(encoded(simssl, run, "digits")["mean"]) == 20
    assert len(encoded(simssl, run, "{name: digits}", out="set.npz")["mean"]) == 1797


def test_plugins_that_only_measured_need_not_be_there(run: Path, simssl: Command, pictures: Path) -> None:
    settings = read(run / "experiment.yaml").tree
    (run / "experiment.yaml").write_text(dump({**settings, "evaluators": [{"name": "gone"}], "trackers": []}))
    assert len(encoded(simssl, run, pictures)["mean"]) == 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "pictures"], "nowhere is not a run's folder: it has no experiment.yaml"),
        (["moved", "no/such"], "no/such is no file or folder, and no data set either: 'no/such': no dataset is called"),
        (["moved", "digit"], "no dataset is called 'digit'; did you mean 'digits'?"),
        (["moved", "{name: digits, size: 3}"], "unknown key 'size'"),
        (["moved", "empty"], "empty has no images; read are names that end in "),
        (["moved", "pictures", "-o", "no/out.npz"], "no is no folder to write out.npz to; make it, or name another"),
        (["moved", "pictures", "-o", "out"], "out does not end in .npz, which it will be; name it out.npz"),
        (["moved", "pictures", "-o", "folder.npz"], "folder.npz is a folder; name a file"),
        (["moved", "pictures", "-o", "old.npz"], "old.npz is there already; give --force to replace it, or another "),
        (["moved", "notes.txt"], "notes.txt is no image that can be read; take it away"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    words: list[str], message: str, run: Path, pictures: Path, simssl: Command
) -> None:
    Path("empty").mkdir()
    Path("folder.npz").mkdir()
    Path("old.npz").write_text("mine")
    Path("notes.txt").write_text("no picture")
    before = sorted(Path().iterdir())
    result = simssl("encode", *words, *([] if "-o" in words else ["-o", "out.npz"]))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert len([line for line in result.stderr.splitlines() if not line.startswith("decoding ")]) == 1
    assert sorted(Path().iterdir()) == before
    assert Path("old.npz").read_text() == "mine"


def test_pictures_that_cannot_be_read_are_named_and_nothing_is_written(
    run: Path, simssl: Command, pictures: Path
) -> None:
    whole = (pictures / "odd" / "03.png").read_bytes()
    (pictures / "odd" / "03.png").write_bytes(whole[:40])
    Path("out.npz").write_text("mine")
    result = simssl("encode", run, pictures, "-o", "out.npz", "--force")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"{pictures}/odd/03.png ")
    (pictures / "even" / "00.png").write_text("no picture")
    result = simssl("encode", run, pictures, "-o", "out.npz", "--force")
    assert f"2 images of {pictures} cannot be read: even/00.png, odd/03.png" in result.stderr
    assert Path("out.npz").read_text() == "mine"


def test_a_full_disk_leaves_what_was_there(
    run: Path, simssl: Command, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Path("out.npz").write_text("mine")
    monkeypatch.setattr(folder.os, "fsync", full)
    result = simssl("encode", run, pictures, "-o", "out.npz", "--force")
    assert result.exit_code == 1
    assert "out.npz cannot be written (No space left on device)" in result.stderr
    assert Path("out.npz").read_text() == "mine"
    assert not list(Path().glob("*.part"))


def change_state(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    change(state)
    torch.save(state, run / "checkpoint.pt")


def test_runs_that_cannot_encode_say_why(run: Path, simssl: Command, pictures: Path) -> None:
    def refused(exit_code: int) -> str:
        result = simssl("encode", run, pictures, "-o", "out.npz")
        assert result.exit_code == exit_code
        return result.stderr

    change_state(run, lambda state: state.pop("image_shape"))
    assert "was made by an earlier version of simssl and does not say what images it takes; train the" in refused(2)
    change_state(run, lambda state: state.update(done=False))
    assert f"{run} is not trained to the end; `simssl run` goes on with it" in refused(2)
    (run / "checkpoint.pt").write_bytes(b"no archive")
    assert "checkpoint.pt is damaged" in refused(1)
    (run / "checkpoint.pt").unlink()
    assert f"{run} has no checkpoint.pt" in refused(2)


def test_the_file_says_which_data_set_it_holds(run: Path, simssl: Command, pictures: Path) -> None:
    arrays = encoded(simssl, run, "{name: digits}")
    assert (arrays["dataset"].item(), arrays["data"].item()) == ("digits", "ab2332773d559275")
    assert arrays["dataset"].shape == ()
    common = {"mean", "variance", "experiment", "objective", "seed", "run", "trained_on"}
    assert set(arrays) == common | {"split", "index", "dataset", "data", "target_class", "classes_class"}
    assert set(encoded(simssl, run, pictures, out="files.npz")) == common | {"files"}


def damage_weights(run: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change a weight of a run's checkpoint, whose checksums are right all the same."""
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    name = next(iter(state["objective"]))
    state["objective"][name] = change(state["objective"][name])
    torch.save(state, run / "checkpoint.pt")


def one_infinite(weight: torch.Tensor) -> torch.Tensor:
    weight.view(-1)[0] = torch.inf
    return weight


@pytest.mark.parametrize("change", [lambda weight: weight * torch.nan, one_infinite])
def test_weights_that_are_no_numbers_are_refused_wherever_they_are_used(
    change: Callable[[torch.Tensor], torch.Tensor], trained: dict[str, Path], simssl: Command, tmp_path: Path
) -> None:
    """Encoding writes nothing, evaluation changes nothing, loading gives no model, and going on does not, either."""
    run = tmp_path / trained["simvae"].parent.name / trained["simvae"].name
    shutil.copytree(trained["simvae"], run)
    damage_weights(run, change)
    sentence = f"the checkpoint {run / 'checkpoint.pt'} has weights that are not finite ("
    before = (run / "metrics.json").read_bytes()
    for words in (["encode", run, "digits", "-o", "out.npz"], ["evaluate", run, "-e", "collapse"]):
        result = simssl(*words)
        assert result.exit_code == 1
        assert result.stderr.startswith(sentence)
    assert not Path("out.npz").exists()
    assert (run / "metrics.json").read_bytes() == before
    with pytest.raises(RunError, match="has weights that are not finite"):
        load_trained(run)


def test_a_run_does_not_go_on_with_weights_that_are_no_numbers(simssl: Command, small: Write) -> None:
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    damage_weights(run, one_infinite)
    (run / "metrics.json").unlink()
    result = simssl("run", small())
    assert result.exit_code == 1
    assert "has weights that are not finite" in result.stderr
    assert not (run / "metrics.json").exists()


def test_representations_that_overflow_are_not_written(run: Path, simssl: Command) -> None:
    """Weights can be numbers, and what they make of an image none."""
    damage_weights(run, lambda weight: weight * 0 + 3e38)
    result = simssl("encode", run, "digits", "-o", "out.npz")
    assert result.exit_code == 1
    assert "the representation of 719 of 719 is not finite; train simvae-seed0-" in result.stderr
    assert not Path("out.npz").exists()


def test_representations_that_are_no_numbers_are_not_decoded(trained: dict[str, Path]) -> None:
    model = load_trained(trained["simvae"])
    with pytest.raises(ValueError, match="representations are finite numbers"):
        model.decode(torch.full((2, 4), torch.nan))
