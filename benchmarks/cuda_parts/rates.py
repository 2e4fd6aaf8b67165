"""Versions, the memory's bandwidth, the rates of products, and what a launch and a copy to the device take."""

from __future__ import annotations

import machine
import torch
from roofline import bytes_a_second, operations_a_second, seconds
from rows import Settings, begin, guarded, row

from simssl.experiment.settings import Training


def main() -> None:
    settings = begin()
    with guarded("versions"):
        versions(settings)
    with guarded("bandwidth"):
        moved = bytes_a_second(settings.device, 2**20 if settings.tiny else 2**28)
        row("a sum of two vectors: two read, one written", moved / 1e9, "GB/s")
    for precision in machine.precisions(settings.device):
        with guarded(f"products in {precision}"):
            products(precision, settings)
    with guarded("a launch"):
        launch(settings)
    with guarded("copies to the device"):
        copies(settings)


def versions(settings: Settings) -> None:
    facts: dict[str, object] = {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    if settings.on_cuda:
        properties = torch.cuda.get_device_properties(settings.device)
        free, memory = torch.cuda.mem_get_info(settings.device)
        facts |= {
            "devices": torch.cuda.device_count(),
            "capability": ".".join(map(str, torch.cuda.get_device_capability(settings.device))),
            "multiprocessors": properties.multi_processor_count,
            "GiB": round(memory / 2**30, 1),
            "GiB_free": round(free / 2**30, 1),
        }
    defaults = {name: Training.model_fields[name].default for name in ("precision", "channels_last")}
    row(machine.about("torchvision"), **facts, **defaults)


def products(precision: str, settings: Settings) -> None:
    for side in (128,) if settings.tiny else (4096, 8192):
        done = operations_a_second(precision, settings.device, side)
        row(f"a product of {side} x {side} in {precision}", done / 1e12, "TFLOP/s")


def launch(settings: Settings) -> None:
    one = torch.ones(1, device=settings.device)
    took = seconds(lambda: one.add_(1), settings.device, least=0.01 if settings.tiny else 0.2)
    row("an operation on one number, launched eagerly", 1e6 * took, "microseconds")


def copies(settings: Settings) -> None:
    there = torch.empty(2**20 if settings.tiny else 2**28, dtype=torch.uint8, device=settings.device)
    here = torch.empty_like(there, device="cpu")
    for kind, source in (("pageable", here), ("pinned", here.pin_memory() if settings.on_cuda else here)):
        took = seconds(lambda source=source: there.copy_(source, non_blocking=True), settings.device, 0.05, rounds=3)
        row(f"a copy of {kind} memory to the device", len(there) / took / 1e9, "GB/s")


if __name__ == "__main__":
    main()
