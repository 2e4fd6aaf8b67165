"""Image files: what is decoded of them, and a cache that is whole, or not there."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as TF

from simssl.blocks.images import decoding
from simssl.blocks.images.cache import HEADER, cached_pixels
from simssl.blocks.images.decoding import ImageSource, centred_square, fitted_image, read_image

NOISE = np.random.RandomState(0).randint(0, 256, (6, 40, 60, 3), dtype=np.uint8)


def silent(label: str, done: int, total: int) -> None:
    return


def folder_of_noise(folder: Path) -> ImageSource:
    folder.mkdir()
    for i, pixels_HW3 in enumerate(NOISE):
        Image.fromarray(pixels_HW3).save(folder / f"{i}.png")
    return ImageSource(folder, [f"{i}.png" for i in range(len(NOISE))], 16)


@pytest.mark.parametrize("side", [40, 37, 20])
@pytest.mark.parametrize("size", [(60, 40), (41, 61), (90, 90)])
def test_a_square_is_torchvisions_centre_crop_and_resize(size: tuple[int, int], side: int) -> None:
    image = Image.fromarray(np.random.RandomState(1).randint(0, 256, (*size[::-1], 3), dtype=np.uint8))
    reference = TF.resize(TF.center_crop(image, [side, side]), [24, 24])
    assert np.array_equal(np.asarray(centred_square(image, 24, side / min(size))), np.asarray(reference))


@pytest.mark.parametrize(
    ("size", "box", "shape"),
    [((60, 40), (40, 53), (3, 24, 32)), ((41, 90), (31, 41), (3, 24, 32)), ((50, 50), (50, 25), (1, 20, 10))],
)
def test_an_image_fits_a_shape_as_torchvisions_centre_crop_and_resize(
    size: tuple[int, int], box: tuple[int, int], shape: tuple[int, int, int]
) -> None:
    image = Image.fromarray(np.random.RandomState(1).randint(0, 256, (*size[::-1], 3), dtype=np.uint8))
    reference = TF.resize(TF.center_crop(image, list(box)), list(shape[1:]))
    channels_last = np.asarray(reference.convert("L"))[..., None] if shape[0] == 1 else np.asarray(reference)
    assert np.array_equal(fitted_image(image, shape), channels_last.transpose(2, 0, 1))


def test_an_image_does_not_fit_other_channels() -> None:
    with pytest.raises(ValueError, match="pictures have 1 or 3 channels, not 4"):
        fitted_image(Image.new("RGB", (8, 8)), (4, 8, 8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(orientation: int, tmp_path: Path) -> None:
    """The eight ways to hold a camera, against NumPy."""
    upright = np.zeros((16, 24, 3), dtype=np.uint8)
    upright[:8, :8] = 255
    stored = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(np.asarray(read_image(tmp_path / "turned.png")), upright)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA", "I;16", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    level = 255 if mode == "1" else 200
    colour = Image.new("RGB", (20, 20), (level, level, level))
    image = Image.new("I;16", (20, 20), level * 256 + 77) if mode == "I;16" else colour.convert(mode)
    image = colour.quantize() if mode == "P" else image
    file = tmp_path / f"image.{'jpg' if mode in ('CMYK', 'YCbCr') else 'png'}"
    image.save(file)
    assert Image.open(file).mode in (mode, "YCbCr", "RGB")
    pixels = np.asarray(read_image(file), dtype=int)
    assert pixels.shape == (20, 20, 3)
    assert np.abs(pixels - level).max() <= 2


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.new("F", (20, 20), 0.5).save(tmp_path / "f.tiff")
    with pytest.raises(ValueError, match=r"f\.tiff cannot be read \(its pixels have neither 8 nor 16 bits"):
        read_image(tmp_path / "f.tiff")


def test_a_large_jpeg_is_decoded_smaller_to_the_same_square(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 1200).astype(np.uint8)
    Image.fromarray(np.stack([ramp[:800, None].repeat(1200, 1)] * 3, 2)).save(tmp_path / "a.jpg", quality=95)
    small, whole = read_image(tmp_path / "a.jpg", at_least=32), read_image(tmp_path / "a.jpg")
    assert whole.size == (1200, 800)
    assert small.size == (150, 100)
    difference = np.asarray(centred_square(small, 32), dtype=int) - np.asarray(centred_square(whole, 32), dtype=int)
    assert np.abs(difference).max() <= 2


def test_the_cache_holds_what_is_decoded_and_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, reports = folder_of_noise(tmp_path / "noise"), []
    monkeypatch.setattr(decoding, "BLOCK", 4)
    first, digest = cached_pixels(tmp_path / "cache" / "noise", source, lambda *report: reports.append(report))
    expected = [torch.tensor(source.decode(name)) for name in source.names]
    assert torch.equal(first, torch.stack(expected))
    assert first.shape == (6, 3, 16, 16)
    assert reports == [(f"decoding {tmp_path / 'noise'}", done, 6) for done in (4, 6)]
    assert os.listdir(tmp_path / "cache") == ["noise"]
    monkeypatch.setattr(decoding, "read_image", None)
    again, same = cached_pixels(tmp_path / "cache" / "noise", source, silent)
    assert torch.equal(again, first)
    assert same == digest


def test_writing_into_the_images_does_not_reach_the_cache(tmp_path: Path) -> None:
    source = folder_of_noise(tmp_path / "noise")
    images, _ = cached_pixels(tmp_path / "cache", source, silent)
    images.zero_()
    assert cached_pixels(tmp_path / "cache", source, silent)[0].any()


def touch(source: ImageSource) -> ImageSource:
    os.utime(source.folder / "3.png", ns=(1, 1))
    return source


def recolour(source: ImageSource) -> ImageSource:
    Image.new("RGB", (60, 40), "red").save(source.folder / "3.png")
    return source


def resize(source: ImageSource) -> ImageSource:
    return ImageSource(source.folder, source.names, 8)


def reorder(source: ImageSource) -> ImageSource:
    return ImageSource(source.folder, source.names[::-1], source.size)


@pytest.mark.parametrize(
    ("change", "same_content"), [(touch, True), (recolour, False), (resize, False), (reorder, False)]
)
def test_a_change_is_noticed(change: Callable[[ImageSource], ImageSource], same_content: bool, tmp_path: Path) -> None:
    """The images are decoded anew; the digest is of their content, so that it is as before if the content is."""
    source, reports = folder_of_noise(tmp_path / "noise"), []
    _, before = cached_pixels(tmp_path / "cache", source, silent)
    after, digest = cached_pixels(tmp_path / "cache", change(source), lambda *report: reports.append(report))
    assert reports
    assert (digest == before) == same_content
    changed = change(source)
    assert torch.equal(after[3], torch.tensor(changed.decode(changed.names[3])))


def overwrite_in_place(source: ImageSource) -> ImageSource:
    """Other pixels, in a file of the same size that says it is of the same time."""
    file = source.folder / "3.bmp"
    content = file.read_bytes()
    file.write_bytes(content[:54] + bytes(len(content) - 54))
    os.utime(file, (0, 0))
    return source


def swap_names(source: ImageSource) -> ImageSource:
    first, second = source.folder / "2.bmp", source.folder / "3.bmp"
    first.rename(source.folder / "between")
    second.rename(first)
    (source.folder / "between").rename(second)
    return source


@pytest.mark.parametrize("change", [overwrite_in_place, swap_names])
def test_a_change_that_keeps_size_and_time_is_noticed(
    change: Callable[[ImageSource], ImageSource], tmp_path: Path
) -> None:
    folder = tmp_path / "noise"
    folder.mkdir()
    for i, pixels_HW3 in enumerate(NOISE):
        Image.fromarray(pixels_HW3).save(folder / f"{i}.bmp")
        os.utime(folder / f"{i}.bmp", (0, 0))
    source = ImageSource(folder, [f"{i}.bmp" for i in range(len(NOISE))], 16)
    _, before = cached_pixels(tmp_path / "cache", source, silent)
    time.sleep(0.02)  # the clock of a file system ticks every few milliseconds
    images, digest = cached_pixels(tmp_path / "cache", change(source), silent)
    assert digest != before
    assert torch.equal(images[3], torch.tensor(source.decode("3.bmp")))


DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda content: content[:-1],
    lambda content: content[:100],
    lambda content: b"[1]" + content[3:],
    lambda content: b"",
    lambda content: content[:HEADER] + bytes(len(content) - HEADER),
    lambda content: content[: HEADER + 700] + bytes(1) + content[HEADER + 701 :],
    lambda content: content.replace(b"[6, 3, 16, 16]", b"[3, 6, 16, 16]"),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_made_anew_and_it_is_said(
    damage: Callable[[bytes], bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = folder_of_noise(tmp_path / "noise")
    pixels, digest = cached_pixels(tmp_path / "cache", source, silent)
    whole = pixels.clone()
    content = (tmp_path / "cache").read_bytes()
    (tmp_path / "cache").write_bytes(damage(content))
    assert (tmp_path / "cache").read_bytes() != content
    images, same = cached_pixels(tmp_path / "cache", source, silent)
    assert torch.equal(images, whole)
    assert same == digest
    assert f"the decoded images in {tmp_path / 'cache'} are damaged; they are decoded anew" in caplog.messages


@pytest.mark.parametrize(
    ("interruption", "told"), [(KeyboardInterrupt, KeyboardInterrupt), (OSError(28, "No space left"), ValueError)]
)
def test_an_interrupted_decode_leaves_nothing(
    interruption: BaseException, told: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folder_of_noise(tmp_path / "noise")
    monkeypatch.setattr(decoding, "BLOCK", 2)

    def interrupt(label: str, done: int, total: int) -> None:
        assert list((tmp_path / "cache").iterdir())
        raise interruption

    with pytest.raises(told):
        cached_pixels(tmp_path / "cache" / "noise", source, interrupt)
    assert not list((tmp_path / "cache").iterdir())


def test_what_a_killed_process_left_is_no_cache(tmp_path: Path) -> None:
    source = folder_of_noise(tmp_path / "noise")
    (tmp_path / "cache.part").write_bytes(bytes(10_000_000))
    images, _ = cached_pixels(tmp_path / "cache", source, silent)
    assert images.any()
    assert (tmp_path / "cache").stat().st_size == HEADER + images.numel()
    assert not (tmp_path / "cache.part").exists()


def test_two_at_a_time_decode_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, decoded, results = folder_of_noise(tmp_path / "noise"), [], []
    read_image = decoding.read_image

    def note_and_read(path: Path, at_least: int = 0) -> Image.Image:
        decoded.append(path)
        return read_image(path, at_least)

    monkeypatch.setattr(decoding, "read_image", note_and_read)
    threads = [
        threading.Thread(target=lambda: results.append(cached_pixels(tmp_path / "cache" / "n", source, silent)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decoded) == len(source.names)
    assert len({digest for _, digest in results}) == 1
    assert len(results) == 4


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    source = folder_of_noise(tmp_path / "noise")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"cannot be written to .*file/cache \(Not a directory\); make room"):
        cached_pixels(tmp_path / "file" / "cache" / "noise", source, silent)
