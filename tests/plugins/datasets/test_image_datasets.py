"""Data sets of colour images: real formats, real mistakes, and what is said of them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from processes import Process

from simssl.api import Data, Split
from simssl.blocks.images import cache
from simssl.plugin.registry import Registry
from simssl.testing.fixtures import load_example
from simssl.training.machine.read_ahead import is_file

REGISTRY = Registry(builtins_only=True)
CELEBA, PHOTOS, CIFAR10 = (REGISTRY.load("dataset", name) for name in ("celeba", "image_folder", "cifar10"))
ATTRIBUTES, PARTITION = "celeba/list_attr_celeba.txt", "celeba/list_eval_partition.txt"


def load(plugin: Any, root: Path, **params: object) -> Data:
    data: Data = plugin(plugin.Params(**params)).load(root, lambda *_: None)
    return data


# --- CIFAR-10 --------------------------------------------------------------------------------------------


def test_cifar10_batches_are_read_as_they_are(tmp_path: Path) -> None:
    data = load_example(CIFAR10, tmp_path)
    assert data.train.images.shape == (40, 3, 32, 32)
    assert data.test is not None
    assert data.test.images.shape == (8, 3, 32, 32)
    labels = data.train.targets["class"].values
    assert labels.tolist() == [i % 8 for i in range(40)]
    assert data.train.images.eq(25 * labels[:, None, None, None]).all()
    assert data.train.targets["class"].classes[3] == "cat"


def test_cifar10_channels_rows_and_columns_are_in_their_places(tmp_path: Path) -> None:
    load_example(CIFAR10, tmp_path)
    row = np.arange(3 * 32 * 32, dtype=np.uint32).astype(np.uint8)[None]
    batch = {b"labels": [9], b"data": row}
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    with pytest.raises(ValueError, match="test_batch is damaged"):
        load(CIFAR10, tmp_path)
    batch = {"labels": [9], "data": row}
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    test = load(CIFAR10, tmp_path).test
    assert test is not None
    assert test.images[0, 2, 5, 7] == (2 * 1024 + 5 * 32 + 7) % 256
    assert test.targets["class"].classes[test.targets["class"].values[0]] == "truck"


def test_of_each_class_of_cifar10_the_first_training_images_are_kept(tmp_path: Path) -> None:
    CIFAR10.example(tmp_path)
    labels = [9, 1, 1, 0, 2, 3, 4, 5, 6, 7, 8]
    rows = np.repeat(np.arange(11, dtype=np.uint8)[:, None], 3 * 32 * 32, axis=1)
    for number in range(1, 6):
        file = tmp_path / "cifar-10-batches-py" / f"data_batch_{number}"
        file.write_bytes(pickle.dumps({"labels": labels, "data": rows + 20 * number}, protocol=2))
    data = load(CIFAR10, tmp_path, per_class=3)
    kept = data.train.targets["class"].values
    assert torch.bincount(kept).tolist() == [3] * 10
    ones = data.train.images[kept == 1, 0, 0, 0]
    assert ones.tolist() == [21, 22, 41]
    assert data.train.images[:, 0, 0, 0].tolist() == sorted(data.train.images[:, 0, 0, 0].tolist())
    assert data.test is not None
    assert len(data.test.images) == 8


def test_more_images_of_a_class_than_there_are_is_one_sentence(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    CIFAR10.example(Path("data"))
    result = simssl("run", small(dataset={"name": "cifar10", "per_class": 5}))
    assert result.exit_code == 2
    assert "dataset.per_class is 5, and there are 0 images of ship; make it smaller" in result.stderr
    assert "Traceback" not in result.stderr


def test_cifar10_says_what_to_put_where(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    CIFAR10.example(Path("data"))
    Path("data/cifar-10-batches-py/data_batch_3").unlink()
    result = simssl("run", small(dataset={"name": "cifar10"}))
    assert result.exit_code == 2
    assert "data/cifar-10-batches-py has no data_batch_3, which could be neither unpacked from" in result.stderr
    assert "put cifar-10-python.tar.gz into data" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_download_of_cifar10_that_fails_leaves_no_folder(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    result = simssl("run", small(dataset={"name": "cifar10"}), "--data", "nowhere")
    assert result.exit_code == 2
    assert "nowhere/cifar-10-batches-py has no data_batch_1" in result.stderr
    assert not Path("nowhere").exists()


class Harm:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "Ran out of input"), (b"\x80\x02K", "truncated|EOF|argument"), (pickle.dumps(Harm()), "not arrays alone")],
)
def test_a_damaged_batch_is_named_and_runs_no_code(
    content: bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    CIFAR10.example(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(content)
    with pytest.raises(ValueError, match=rf"data_batch_2 is damaged \(.*({reason}).*\); get it again"):
        load(CIFAR10, tmp_path)
    assert not Path("harmed").exists()


# --- CelebA ----------------------------------------------------------------------------------------------


def faces(root: Path, rows: list[tuple[set[str], int]]) -> None:
    """A CelebA of these faces: their attributes and parts; the image's grey level is ten times its index."""
    CELEBA.example(root)
    names = (root / ATTRIBUTES).read_text().splitlines()[1].split()
    lines, parts = [str(len(rows)), " ".join(names) + " "], []
    for i, (has, part) in enumerate(rows):
        lines.append(f"{i:06d}.jpg " + " ".join(" 1" if name in has else "-1" for name in names))
        parts.append(f"{i:06d}.jpg {part}")
        Image.new("RGB", (178, 218), (10 * i,) * 3).save(root / f"celeba/img_align_celeba/{i:06d}.jpg")
    (root / ATTRIBUTES).write_text("\n".join(lines))
    (root / PARTITION).write_text("\n".join(parts))


def levels(split: Split | None) -> list[int]:
    """The index in the file of each image, by its grey level."""
    assert split is not None
    return [round(level / 10) for level in split.images.float().mean((1, 2, 3)).tolist()]


def test_celeba_follows_the_official_split(tmp_path: Path) -> None:
    """Training and validation images are the training split, in whatever order the file has them."""
    parts = [0, 2, 1, 0, 0, 2, 1, 0]
    faces(tmp_path, [({"Male"} if i % 3 == 0 else set(), part) for i, part in enumerate(parts)])
    data = load(CELEBA, tmp_path)
    assert levels(data.train) == [0, 3, 4, 7, 2, 6]
    assert levels(data.test) == [1, 5]
    assert data.validation is not None
    assert data.validation.tolist() == [4, 5]
    assert data.train.targets["gender"].values.tolist() == [1, 1, 0, 0, 0, 1]
    assert data.train.targets["Male"].values.tolist() == [1, 1, 0, 0, 0, 1]
    assert data.train.images.shape == (6, 3, 64, 64)


def test_celeba_hair_is_one_colour_or_other_or_unknown(tmp_path: Path) -> None:
    rows = [
        ({"Black_Hair"}, 0),
        ({"Blond_Hair", "Male"}, 0),
        ({"Brown_Hair", "Wavy_Hair"}, 0),
        ({"Gray_Hair"}, 0),
        ({"Bald"}, 0),
        (set(), 0),
        ({"Black_Hair", "Brown_Hair"}, 0),
        ({"Gray_Hair", "Bald"}, 0),
    ]
    faces(tmp_path, rows)
    data = load(CELEBA, tmp_path)
    hair = data.train.targets["hair"]
    assert hair.classes == ("black", "blond", "brown", "grey", "other")
    assert hair.values.tolist() == [0, 1, 2, 3, 4, 4, -1, 3]
    assert (hair.role, data.train.targets["gender"].role) == ("style", "content")
    assert data.train.targets["Wavy_Hair"].values.tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert (data.test, data.validation) == (None, None)
    assert len(data.train.targets) == 42


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_celeba_is_cropped_in_its_middle(scale: float, tmp_path: Path) -> None:
    """A white band from row 20 to row 198 of 218 is what a crop of 178 keeps; at half size too."""
    faces(tmp_path, [(set(), 0)])
    picture = np.zeros((218, 178, 3), dtype=np.uint8)
    picture[20:198] = 255
    image = Image.fromarray(picture)
    image = image.resize((round(178 * scale), round(218 * scale)), Image.Resampling.BOX)
    image.save(tmp_path / "celeba/img_align_celeba/000000.jpg", quality=100)
    assert load(CELEBA, tmp_path).train.images.float().mean() > 250
    picture[35:183, 15:163] = 0
    image = Image.fromarray(picture).resize(image.size, Image.Resampling.BOX)
    image.save(tmp_path / "celeba/img_align_celeba/000000.jpg", quality=100)
    cropped = load(CELEBA, tmp_path, crop=148, size=32)
    assert cropped.train.images.shape == (1, 3, 32, 32)
    assert cropped.train.images.float().mean() < 5


def test_celeba_selects_on_the_official_validation_images(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    """As the protocols say; and a second start decodes nothing."""
    generator = np.random.RandomState(0)
    parts = [0] * 40 + [1] * 10 + [2] * 10
    faces(Path("data"), [({"Male"} if generator.rand() < 0.5 else set(), part) for part in parts])
    evaluators = [{"name": "knn", "targets": ["gender"], "k": [1, 2, 3]}, {"name": "mlp_probe", "targets": ["hair"]}]
    evaluators[1]["epochs"] = 2
    views = {"crop": {"scale": [0.4, 1.0]}, "horizontal_flip": 0.5}
    evaluators.append({"name": "style_probe", "probe": "ridge"})
    file = small(
        dataset={"name": "celeba", "size": 16},
        backbone={"name": "convnet", "widths": [4, 8]},
        views=views,
        training={"views": 60, "batch_views": 30},
        evaluators=evaluators,
    )
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    assert "decoding data/celeba/img_align_celeba: 60/60" in result.stderr
    (run,) = Path("runs/small").iterdir()
    metrics = json.loads((run / "metrics.json").read_text())["metrics"]
    official = "the official validation split, part of train"
    assert metrics["knn/gender/accuracy"]["protocol"]["selection"] == f"k on {official}; then all of train votes"
    assert metrics["mlp_probe/hair/accuracy"]["protocol"]["selection"].startswith(f"epochs on {official};")
    assert f"on views of {official};" in metrics["style_probe/R2"]["protocol"]["selection"]
    again = simssl("run", file, "--fresh")
    assert "decoding" not in again.stderr


@pytest.mark.parametrize(
    ("absent", "words"),
    [
        ("img_align_celeba", "data/celeba has no img_align_celeba; get them from https://mmlab"),
        ("list_attr_celeba.txt", "data/celeba has no list_attr_celeba.txt; get them from"),
        (
            "img_align_celeba/000004.jpg",
            "lacks 1 of the 12 images that list_eval_partition.txt lists, 000004.jpg first",
        ),
    ],
)
def test_celeba_says_what_is_missing(
    absent: str, words: str, simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    CELEBA.example(Path("data"))
    (Path("data/celeba") / absent).rename("elsewhere")
    result = simssl("run", small(dataset={"name": "celeba"}))
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_celeba_sees_that_the_images_are_only_packed(tmp_path: Path) -> None:
    CELEBA.example(tmp_path)
    (tmp_path / "celeba/img_align_celeba").rename(tmp_path / "celeba/img_align_celeba.zip")
    with pytest.raises(FileNotFoundError, match=r"has no img_align_celeba; unpack img_align_celeba\.zip there$"):
        load(CELEBA, tmp_path)


def edit(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / file).read_text()
        assert old in text
        (root / file).write_text(text.replace(old, new, 1))

    return change


def binary(file: str) -> Callable[[Path], None]:
    return lambda root: void((root / file).write_bytes(b"PK\x03\x04\xff\xfe"))


def folder_instead(file: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / file).unlink()
        (root / file).mkdir()

    return change


def packed_under_the_folders_name(root: Path) -> None:
    shutil.rmtree(root / "celeba/img_align_celeba")
    (root / "celeba/img_align_celeba").write_bytes(b"PK")


def only_tests(root: Path) -> None:
    (root / PARTITION).write_text((root / PARTITION).read_text().replace(" 0\n", " 2\n"))


def void(_: object) -> None:
    return


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (edit(PARTITION, "000002.jpg 0", "000002.jpg 7"), "list_eval_partition.txt, line 2, is not a file's name and"),
        (edit(PARTITION, "000002.jpg 0", "\n000002.jpg"), "list_eval_partition.txt, line 3, is not a file's name and"),
        (
            edit(PARTITION, "000002.jpg 0", "000002.jpg 0\n\n000001.jpg 2"),
            "list_eval_partition.txt, line 4, lists 000001.jpg again; get the file again",
        ),
        (only_tests, "data/celeba/list_eval_partition.txt lists no training image; get the file again"),
        (binary(PARTITION), "data/celeba/list_eval_partition.txt is no text; get it again"),
        (binary(ATTRIBUTES), "data/celeba/list_attr_celeba.txt is no text; get it again"),
        (folder_instead(PARTITION), "data/celeba/list_eval_partition.txt is a folder; put the file of that name there"),
        (
            packed_under_the_folders_name,
            "data/celeba/img_align_celeba is no folder; move it away, and unpack img_align_celeba.zip there",
        ),
        (
            edit(ATTRIBUTES, "000002.jpg -1", "000002.jpg"),
            "list_attr_celeba.txt, line 4, has 39 values for the 40 attributes; get the file again",
        ),
        (
            edit(ATTRIBUTES, "000002.jpg -1", "000002.jpg x"),
            "list_attr_celeba.txt, line 4, has 'x' where 1 or -1 is wanted; get the file again",
        ),
        (edit(ATTRIBUTES, "000002.jpg -1", "000002.jpg 0"), "line 4, has '0' where 1 or -1 is wanted"),
        (
            edit(ATTRIBUTES, "000003.jpg", "000033.jpg"),
            "list_attr_celeba.txt has no line for 1 of the 12 images that list_eval_partition.txt lists, 000003.jpg "
            "first; get the file again",
        ),
        (edit(ATTRIBUTES, "Gray_Hair", "Grey_Hair"), "has no attribute Gray_Hair in its second line"),
    ],
)
def test_a_damaged_list_of_celeba_is_named(
    damage: Callable[[Path], None], message: str, simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    CELEBA.example(Path("data"))
    damage(Path("data"))
    result = simssl("run", small(dataset={"name": "celeba"}))
    assert result.exit_code == 2
    assert result.stderr.startswith("dataset 'celeba': data/celeba")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_celeba_takes_the_images_that_the_partition_lists(tmp_path: Path) -> None:
    CELEBA.example(tmp_path)
    lines = (tmp_path / PARTITION).read_text().splitlines()
    (tmp_path / PARTITION).write_text("\n".join(lines[:5] + lines[-2:]))
    data = load(CELEBA, tmp_path)
    assert data.test is not None
    assert (len(data.train), len(data.test)) == (6, 1)


# --- a user's own images ---------------------------------------------------------------------------------


def photos(folder: Path, **count: int) -> None:
    """Images of several sizes, `count` in each folder; a folder's images have its grey level and one more each."""
    for base, (name, images) in enumerate(count.items()):
        below = folder / name.replace("__", "/")
        below.mkdir(parents=True, exist_ok=True)
        for i in range(images):
            Image.new("RGB", (40 + i, 60), (60 * base + i,) * 3).save(below / f"{i:02d}.png")


def grey(split: Split | None) -> list[int]:
    assert split is not None
    return split.images[:, 0, 0, 0].tolist()


def test_folders_are_classes_and_a_stratified_tenth_is_for_test(tmp_path: Path) -> None:
    photos(tmp_path / "photos", dogs=20, cats=30)
    data = load(PHOTOS, tmp_path, path="photos", size=32)
    assert data.train.images.shape == (45, 3, 32, 32)
    assert data.test is not None
    target = data.test.targets["class"]
    assert target.classes == ("cats", "dogs")
    assert target.values.bincount().tolist() == [3, 2]
    assert [int(level < 60) for level in grey(data.test)] == target.values.tolist()
    assert sorted(grey(data.train) + grey(data.test)) == [*range(20), *range(60, 90)]
    again = load(PHOTOS, tmp_path, path=str(tmp_path / "photos"), size=32)
    assert again.fingerprint == data.fingerprint


def test_folders_train_and_test_are_the_splits(tmp_path: Path) -> None:
    photos(tmp_path / "photos", train__a=3, train__b=2, test__b=1, test__a=2)
    data = load(PHOTOS, tmp_path, path="photos")
    assert grey(data.train) == [0, 1, 2, 60, 61]
    assert data.train.targets["class"].values.tolist() == [0, 0, 0, 1, 1]
    assert grey(data.test) == [180, 181, 120]
    assert data.test is not None
    assert data.test.targets["class"].values.tolist() == [0, 0, 1]


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_a_folder_val_is_the_official_validation_split_inside_train(name: str, tmp_path: Path) -> None:
    photos(tmp_path / "photos", **{"Train__a": 3, "Train__b": 2, f"{name}__b": 2, "TEST__a": 1})
    data = load(PHOTOS, tmp_path, path="photos")
    assert grey(data.train) == [0, 1, 2, 60, 61, 120, 121]
    assert data.train.targets["class"].values.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert data.validation is not None
    assert data.validation.tolist() == [5, 6]
    assert grey(data.test) == [180]


def test_evaluators_select_on_a_users_validation_images(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    photos(Path("data/photos"), train__a=12, train__b=12, val__a=4, val__b=4, test__a=3, test__b=3)
    result = simssl("run", small(**(PHOTO_RUN | {"evaluators": [{"name": "knn", "k": [1, 2, 3]}]})))
    assert result.exit_code == 0, result.stderr
    (run,) = Path("runs/small").iterdir()
    selection = json.loads((run / "metrics.json").read_text())["metrics"]["knn/class/accuracy"]["protocol"]["selection"]
    assert selection == "k on the official validation split, part of train; then all of train votes"


@pytest.mark.parametrize("others", [{"val__a": 4, "val__b": 4}, {}])
def test_without_a_folder_test_a_tenth_of_train_is_for_test(
    others: dict[str, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As where there are no split folders; the validation images stay what they are."""
    caplog.set_level("INFO", "simssl")
    photos(tmp_path / "photos", train__a=10, train__b=10, **others)
    data = load(PHOTOS, tmp_path, path="photos")
    assert data.test is not None
    assert data.test.targets["class"].values.tolist() == [0, 1]
    assert len(data.train) == 18 + sum(others.values())
    assert max(grey(data.test)) < 70
    assert (data.validation is None) == (not others)
    assert caplog.messages == [f"{tmp_path}/photos has no folder test: the last tenth of train is the test split"]


def test_a_class_may_be_called_as_a_split(tmp_path: Path) -> None:
    photos(tmp_path / "photos", plane=10, train=10, test__a=10)
    (tmp_path / "photos/test").rename(tmp_path / "photos/car")
    assert load(PHOTOS, tmp_path, path="photos").train.targets["class"].classes == ("car", "plane", "train")


def test_what_lies_beside_the_split_folders_is_said_to_be_left_out(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    photos(Path("data/photos"), train__a=20, test__a=3, extra=2)
    (Path("data/photos") / "labels.csv").write_text("a,b")
    (Path("data/photos") / ".DS_Store").write_text("hidden")
    result = simssl("run", small(**PHOTO_RUN))
    assert result.exit_code == 0, result.stderr
    assert "data/photos: left out, beside the folders test, train: extra, labels.csv\n" in result.stderr


def test_images_without_folders_have_no_labels(tmp_path: Path) -> None:
    photos(tmp_path, photos=12)
    data = load(PHOTOS, tmp_path, path="photos")
    assert data.test is not None
    assert (len(data.train), len(data.test), dict(data.train.targets)) == (11, 1, {})


def test_the_fingerprint_tells_where_unlabelled_splits_part(tmp_path: Path) -> None:
    photos(tmp_path, x__train=3, x__test=3, y__train=2, y__test=3)
    (tmp_path / "y/test/00.png").unlink()
    for part, number in (("train", 0), ("train", 1)):
        (tmp_path / f"y/{part}/0{number}.png").write_bytes((tmp_path / f"x/{part}/0{number}.png").read_bytes())
    (tmp_path / "y/test/00.png").write_bytes((tmp_path / "x/train/02.png").read_bytes())
    for number in (0, 1, 2):
        (tmp_path / f"y/test/0{number + 1}.png").write_bytes((tmp_path / f"x/test/0{number}.png").read_bytes())
    x, y = (load(PHOTOS, tmp_path, path=name) for name in "xy")
    assert grey(x.train) + grey(x.test) == grey(y.train) + grey(y.test)
    assert x.fingerprint != y.fingerprint


def test_nested_folders_belong_to_their_class_or_to_none(tmp_path: Path) -> None:
    photos(tmp_path / "photos", a__2023=5, a__2024=6, b=11)
    labelled = load(PHOTOS, tmp_path, path="photos")
    assert labelled.train.targets["class"].values.bincount().tolist() == [10, 10]
    plain = load(PHOTOS, tmp_path, path="photos", labels=False)
    assert dict(plain.train.targets) == {}
    assert len(plain.train) == 20


def test_linked_folders_are_classes_and_a_link_back_up_ends(tmp_path: Path) -> None:
    photos(tmp_path / "photos", cats=10)
    photos(tmp_path / "disk", dogs=10)
    (tmp_path / "photos/dogs").symlink_to(tmp_path / "disk/dogs")
    (tmp_path / "photos/cats/again").symlink_to("..")
    (tmp_path / "disk/dogs/cats").symlink_to(tmp_path / "photos/cats")
    data = load(PHOTOS, tmp_path, path="photos")
    assert data.train.targets["class"].classes == ("cats", "dogs")
    assert data.test is not None
    assert (data.train.targets["class"].values.bincount() + data.test.targets["class"].values.bincount()).tolist() == [
        10,
        20,
    ]


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    photos(tmp_path, photos=10)
    (tmp_path / "photos/round").symlink_to("round")
    with pytest.raises(ValueError, match=r"photos/round cannot be read \(.*symbolic links\); mend it or"):
        load(PHOTOS, tmp_path, path="photos")


def mixed(root: Path) -> None:
    """The photos of a user: mixed sizes, grey and CMYK, one lying on its side, a text and hidden files among them."""
    PHOTOS.example(root)
    (root / "photos/.DS_Store").write_bytes(b"hidden")
    (root / "photos/dark/._colour.jpg").write_bytes(b"not an image, by its content")
    (root / "photos/dark/list.csv").write_text("a,b")


PHOTO_RUN = {
    "dataset": {"name": "image_folder", "path": "photos", "size": 16},
    "backbone": {"name": "convnet", "widths": [4, 8]},
    "training": {"views": 30, "batch_views": 10},
    "objective": {"name": "vae"},
    "evaluators": [{"name": "knn", "k": 1}],
}


def test_a_folder_of_photos_runs(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    mixed(Path("data"))
    file = small(**PHOTO_RUN)
    first = simssl("run", file)
    assert first.exit_code == 0, first.stderr
    said = "data/photos: left out, no image by its name: dark/list.csv, notes.txt\n"
    assert first.stderr.count(said) == 1
    assert "decoding data/photos: 12/12" in first.stderr
    assert simssl("run", file, "--fresh").stderr.count("decoding") == 0
    file = small(**(PHOTO_RUN | {"seed": 1}))
    Path("data/photos/dark/grey.png").write_bytes(Path("data/photos/bright/grey.png").read_bytes())
    changed = simssl("run", file)
    assert "decoding data/photos: 12/12" in changed.stderr
    evaluated = simssl("evaluate", *Path("runs/small").glob("*seed0*"), "-e", "{name: knn, k: 1}")
    assert evaluated.exit_code == 1, evaluated.stderr
    assert "was trained on other data" in evaluated.stderr


def test_an_image_on_its_side_is_turned(tmp_path: Path) -> None:
    """Stored with its top to the right; seen upright, its left half is bright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((40, 80), dtype=np.uint8)
    stored[20:] = 200
    photos(tmp_path, photos=2)
    Image.fromarray(stored).save(tmp_path / "photos/00.jpg", exif=exif)
    data = load(PHOTOS, tmp_path, path="photos", size=20)
    assert data.test is not None
    (image,) = [x for x in (*data.train.images, *data.test.images) if x.max() > 100]
    assert image[:, :, :9].min() > 180
    assert image[:, :, 11:].max() < 20


def truncated(folder: Path) -> str:
    file = folder / "dark/colour.jpg"
    Image.fromarray(np.random.RandomState(0).randint(0, 255, (80, 80, 3), dtype=np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:2000])
    return "data/photos/dark/colour.jpg cannot be read (image file is truncated"


def text_called_image(folder: Path) -> str:
    (folder / "dark/notes.jpg").write_text("not an image")
    return "data/photos/dark/notes.jpg is no image that can be read; take it away"


def empty(folder: Path) -> str:
    (folder / "bright/empty.png").write_bytes(b"")
    return "data/photos/bright/empty.png is no image that can be read; take it away"


def cut_png(folder: Path) -> str:
    file = folder / "dark/grey.png"
    file.write_bytes(file.read_bytes()[:60])
    return "data/photos/dark/grey.png cannot be read ("


def many(folder: Path) -> str:
    for i in range(5):
        (folder / f"dark/{i}.jpg").write_text("not an image")
    return (
        "5 images of data/photos cannot be read: dark/0.jpg, dark/1.jpg, dark/2.jpg and 2 more; of the first: "
        "data/photos/dark/0.jpg is no image that can be read; take it away"
    )


def many_dangling(folder: Path) -> str:
    for i in range(2):
        (folder / f"dark/{i}.jpg").symlink_to(f"/unmounted/{i}.jpg")
    return (
        "2 images of data/photos cannot be read: dark/0.jpg, dark/1.jpg; of the first: data/photos/dark/0.jpg is a "
        "link to nothing, or gone; take it away"
    )


def loose(folder: Path) -> str:
    Image.new("RGB", (20, 20)).save(folder / "loose.png")
    return "data/photos has images beside the folders of its classes, loose.png first; move them into one, or set"


def unknown_class(folder: Path) -> str:
    shutil.rmtree(folder)
    photos(folder, train__cats=3, val__cats=1, val__dogs=2, test__cats=2)
    return "data/photos/val/dogs is a class that data/photos/train lacks; add it there, take it away, or set 'labels: f"


def split_twice(folder: Path) -> str:
    photos(folder, Train__a=2, val__a=2, Valid__a=2)
    return "data/photos has both Valid and val, which are one split; keep one of them"


def split_without_train(folder: Path) -> str:
    for old, new in (("dark", "val"), ("bright", "Test")):
        (folder / old).rename(folder / new)
    return "data/photos has Test and val and no folder train; put the training images there"


def gone(folder: Path) -> str:
    folder.rename("elsewhere")
    return "data/photos is no folder; 'path' is seen from data (--data), or absolute"


def only_text(folder: Path) -> str:
    folder.rename("elsewhere")
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing here")
    return "data/photos has no images; read are names that end in ."


def one_image(folder: Path) -> str:
    shutil.rmtree(folder)
    photos(folder, a=1)
    return "data/photos has one image; at least two are needed, one to train and one to test on"


def no_test_image(folder: Path) -> str:
    shutil.rmtree(folder)
    photos(folder, train__a=2, test__a=0)
    (folder / "test/a/00.HEIC").write_bytes(b"as an iPhone takes them")
    return "data/photos/test has no images; read are names that end in"


def huge(folder: Path) -> str:
    (folder / "dark/huge.pgm").write_bytes(b"P5 20000 10000 255\n")
    return "data/photos/dark/huge.pgm has more than 179 million pixels; shrink it or take it away"


def dangling(folder: Path) -> str:
    (folder / "dark/link.jpg").symlink_to("nowhere.jpg")
    return "data/photos/dark/link.jpg is a link to nothing, or gone; take it away"


@pytest.mark.parametrize(
    "harm",
    [
        *(truncated, text_called_image, empty, cut_png, loose, gone, only_text, dangling),
        *(unknown_class, split_twice, split_without_train, one_image, no_test_image, huge, many),
        many_dangling,
    ],
)
def test_the_file_at_fault_is_named_in_one_sentence(
    harm: Callable[[Path], str], simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    mixed(Path("data"))
    words = harm(Path("data/photos"))
    result = simssl("run", small(**PHOTO_RUN))
    assert result.exit_code == 2
    (sentence,) = [line for line in result.stderr.splitlines() if line.startswith("dataset 'image_folder': ")]
    assert result.stderr.splitlines()[-1] == sentence
    assert words in sentence
    assert "Traceback" not in result.stderr
    assert not list(Path("data").glob("simssl-cache/*"))
    assert not Path("runs").exists()


def test_a_large_photo_is_read_without_a_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    photos(tmp_path, photos=5)
    Image.new("L", (12_000, 9_000)).save(tmp_path / "photos/wide.jpg")
    load(PHOTOS, tmp_path, path="photos")
    assert not [str(warning.message) for warning in recwarn]


def test_a_cache_that_cannot_be_written_is_told_in_one_sentence(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    PHOTOS.example(Path("data"))
    Path("file").write_text("in the way")
    monkeypatch.setenv("SIMSSL_CACHE", "file/cache")
    result = simssl("run", small(**PHOTO_RUN))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "dataset 'image_folder': the decoded images cannot be written to file/cache (Not a directory); make room "
        "there, or name another folder in $SIMSSL_CACHE"
    )


def test_the_cache_can_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMSSL_CACHE", str(tmp_path / "scratch"))
    load_example(PHOTOS, tmp_path / "data")
    assert len(list((tmp_path / "scratch").iterdir())) == 1
    assert not (tmp_path / "data/simssl-cache").exists()


def test_how_far_a_large_cache_is_checked_is_told(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(Path("data/photos"), dark=12, bright=12)
    monkeypatch.setattr(cache, "LARGE", 0)
    monkeypatch.setattr(cache, "PART", 10 * 3 * 16 * 16)
    result = simssl("run", small(**PHOTO_RUN))
    assert result.exit_code == 0, result.stderr
    (file,) = Path("data/simssl-cache").iterdir()
    lines = [line for line in result.stderr.splitlines() if line.startswith("checking ")]
    assert lines == [f"checking {file}: {done}/24" for done in (10, 20, 24)]


def test_the_images_of_both_splits_are_read_ahead(tmp_path: Path) -> None:
    data = load_example(PHOTOS, tmp_path)
    assert is_file(data.train.images)
    assert is_file(data.test.images)


def test_folders_and_crops_have_caches_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMSSL_CACHE", str(tmp_path / "scratch"))
    for root, crop in (("a", 178), ("b", 178), ("a", 100), ("b", 178)):
        if not (tmp_path / root).exists():
            CELEBA.example(tmp_path / root)
        CELEBA(CELEBA.Params(crop=crop)).load(tmp_path / root, lambda label, done, total: None)
    assert len(list((tmp_path / "scratch").iterdir())) == 3


def test_suffixes_of_jpeg_and_avif(tmp_path: Path) -> None:
    photos(tmp_path, photos=3)
    image = Image.new("RGB", (40, 40), (250, 250, 250))
    image.save(tmp_path / "photos/a.jfif", "jpeg")
    avif = ".avif" in Image.registered_extensions()
    if avif:
        image.save(tmp_path / "photos/b.AVIF")
    data = load(PHOTOS, tmp_path, path="photos")
    assert sum(level > 240 for level in grey(data.train) + grey(data.test)) == 1 + avif


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(tmp_path / "home", photos=5)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert len(load(PHOTOS, tmp_path, path="~/photos").train) == 4


@pytest.mark.parametrize(("labels", "above"), [(True, ""), (False, ""), (True, "train__")])
def test_the_cache_below_the_folder_is_none_of_its_own(
    labels: bool, above: str, simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    photos(Path("data"), **{f"{above}a": 6, f"{above}b": 6})
    file = small(**(PHOTO_RUN | {"dataset": {"name": "image_folder", "path": ".", "labels": labels}}))
    for _ in range(2):
        result = simssl("run", file, "--fresh")
        assert result.exit_code == 0, result.stderr
        assert "left out" not in result.stderr


def test_a_misspelt_target_is_told_the_nearest(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    CELEBA.example(Path("data"))
    evaluators = [{"name": "mlp_probe", "targets": ["Smilling"]}]
    result = simssl(
        "run", small(dataset={"name": "celeba"}, evaluators=evaluators, training={"views": 9, "batch_views": 3})
    )
    assert result.exit_code == 2
    assert "the data set has no target 'Smilling' of two or more classes; did you mean 'Smiling'?\n" in result.stderr


def test_labels_or_none_have_caches_of_their_own_until_a_file_changes(tmp_path: Path) -> None:
    photos(tmp_path / "photos", a=9, b=11)
    (tmp_path / "simssl-cache").mkdir()
    (tmp_path / "simssl-cache/photos-of-mine").write_text("not ours")

    def decodes(labels: bool, size: int = 8) -> bool:
        reports: list[object] = []
        plugin = PHOTOS(PHOTOS.Params(path="photos", size=size, labels=labels))
        plugin.load(tmp_path, lambda *report: reports.append(report))
        return bool(reports)

    assert [decodes(labels) for labels in (True, False, True, False)] == [True, True, False, False]
    assert decodes(True, size=16)
    assert len(list((tmp_path / "simssl-cache").iterdir())) == 1 + 3
    Image.new("RGB", (40, 40)).save(tmp_path / "photos/a/more.png")
    assert decodes(True)
    assert len(list((tmp_path / "simssl-cache").iterdir())) == 1 + 2
    assert decodes(False)
    assert not decodes(True)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_images_are_decoded_leaves_nothing(
    signum: signal.Signals, code: int, small: Callable[..., Path], tmp_path: Path
) -> None:
    photos(tmp_path / "data", photos=1)
    noise = np.random.RandomState(0).randint(0, 256, (1500, 1500, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png", compress_level=1)
    for i in range(400):
        os.link(tmp_path / "noise.png", tmp_path / f"data/photos/{i}.png")
    started = Process(tmp_path, "run", small(**PHOTO_RUN))
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("data/simssl-cache/*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(started.pid, signum)
    returned, error = started.finish()
    assert returned == code, error
    assert "interrupted" in error
    assert not list(tmp_path.glob("data/simssl-cache/*"))


def test_a_batch_of_mapped_images_reads_only_its_own(tmp_path: Path) -> None:
    """The trainer's images are the mapped ones, not a copy of them."""
    from simssl.store.folder import RunFolder
    from simssl.testing.fixtures import StubRegistry, tiny_experiment
    from simssl.training.build import build_run
    from simssl.training.trainer import Trainer

    photos(tmp_path / "photos", a=40, b=40)
    data = load(PHOTOS, tmp_path, path="photos", size=8)
    built = build_run(tiny_experiment(), StubRegistry(), data, torch.device("cpu"))  # type: ignore[arg-type]
    trainer = Trainer(built, RunFolder(tmp_path / "run"))
    trainer.train_step()
    assert trainer.images_NCHW.data_ptr() == data.train.images.data_ptr()


# --- the real data ---------------------------------------------------------------------------------------

real = pytest.mark.skipif("SIMSSL_DATA" not in os.environ, reason="SIMSSL_DATA names no folder with the real data")


@pytest.mark.slow
@real
def test_the_real_cifar10_is_torchvisions() -> None:
    from torchvision import datasets

    root = Path(os.environ["SIMSSL_DATA"])
    data = load(CIFAR10, root)
    for split, train in ((data.train, True), (data.test, False)):
        reference = datasets.CIFAR10(str(root), train=train)
        assert split is not None
        assert np.array_equal(split.images.numpy(), reference.data.transpose(0, 3, 1, 2))
        assert split.targets["class"].values.tolist() == reference.targets
        assert list(split.targets["class"].classes) == reference.classes


@pytest.mark.slow
@real
def test_the_real_celeba_has_its_labels() -> None:
    """Against a reading row by row; and a linear fit to the pixels finds gender, so labels are of their images."""
    root = Path(os.environ["SIMSSL_DATA"])
    data = load(CELEBA, root)
    _, header, *rows = (root / ATTRIBUTES).read_text().splitlines()
    part = dict(line.split() for line in (root / PARTITION).read_text().splitlines())
    male, blond = (header.split().index(name) + 1 for name in ("Male", "Blond_Hair"))
    words = [row.split() for row in rows]
    trained = [w for w in words if part.get(w[0]) == "0"] + [w for w in words if part.get(w[0]) == "1"]
    assert data.train.targets["gender"].values.tolist() == [int(w[male] == "1") for w in trained]
    assert data.train.targets["Blond_Hair"].values.tolist() == [int(w[blond] == "1") for w in trained]
    assert data.test is not None
    x, test = (torch.nn.functional.avg_pool2d(s.images[:9000].float(), 4).flatten(1) for s in (data.train, data.test))
    y = data.train.targets["gender"].values[:9000].double()
    weights = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1)], 1).double(), y).solution
    guess = torch.cat([test, torch.ones(len(test), 1)], 1).double() @ weights > 0.5
    assert (guess == data.test.targets["gender"].values.bool()).double().mean() > 0.85
