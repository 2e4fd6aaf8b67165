"""What a captured launch does on the device: its kernels, the longest of them, and the time between them.

torch's profiler writes a trace; each of its events has a beginning and a length in microseconds. On a CPU the
operations stand for the kernels.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from rows import Settings, begin, guarded, row, wait
from runs import CIFAR10, MNIST, build, captured, is_captured
from torch.profiler import ProfilerActivity, profile

from simssl.training.trainer import Trainer

LONGEST, LAUNCHES = 15, 3
ON_CUDA, ON_CPU = ("kernel", "gpu_memcpy", "gpu_memset"), ("cpu_op",)
"""The categories of the trace whose events count."""

Event = dict[str, Any]


def main() -> None:
    settings = begin()
    cases = (
        ("MNIST, SimVAE, 120 views", MNIST, "{name: simvae}", 120, "float32"),
        ("CIFAR-10's shape, SimCLR, 1024 views, bfloat16", CIFAR10, "{name: simclr}", 1024, "bfloat16"),
    )
    for what, file, objective, views, precision in cases:
        with guarded(what):
            changes = (f"training.precision={precision}", "training.channels_last=true")
            trainer = captured(build(settings, file, objective, views, *changes))
            report(what, trainer, settings)


def report(what: str, trainer: Trainer, settings: Settings) -> None:
    for _ in range(2):
        trainer.train_step()
    before = trainer.step
    events = traced(trainer, settings)
    steps = trainer.step - before
    if not events:
        row(what, error="the trace has no kernels")
        return
    busy, span = busy_and_span(events)
    row(
        f"{what}: kernels a step",
        len(events) / steps,
        "kernels",
        busy_ms_a_step=busy / steps / 1000,
        idle_ms_a_step=(span - busy) / steps / 1000,
        idle_fraction=1 - busy / span,
        steps=steps,
        captured=is_captured(trainer),
    )
    microseconds: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for event in events:
        microseconds[event["name"]] += event["dur"]
        calls[event["name"]] += 1
    for name, total in microseconds.most_common(LONGEST):
        short = name if len(name) < 120 else f"{name[:117]}..."
        row(f"{what}: {short}", total / steps, "microseconds a step", calls_a_step=calls[name] / steps)


def traced(trainer: Trainer, settings: Settings) -> list[Event]:
    """The events of a few launches that count, in the order of their beginnings."""
    wait(settings.device)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if settings.on_cuda else [])]
    with profile(activities=activities) as profiler:
        for _ in range(LAUNCHES):
            trainer.train_step()
        wait(settings.device)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8", errors="replace"))["traceEvents"]
    categories = ON_CUDA if settings.on_cuda else ON_CPU
    counted = [event for event in events if event.get("cat") in categories and "dur" in event]
    return sorted(counted, key=lambda event: float(event["ts"]))


def busy_and_span(events: list[Event]) -> tuple[float, float]:
    """Microseconds in which at least one event was under way, and from the first one's beginning to the last end."""
    busy, end = 0.0, float(events[0]["ts"])
    for event in events:
        begins = float(event["ts"])
        ends = begins + float(event["dur"])
        busy += max(0.0, ends - max(begins, end))
        end = max(end, ends)
    return busy, max(end - float(events[0]["ts"]), 1e-9)


if __name__ == "__main__":
    main()
