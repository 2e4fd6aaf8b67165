"""Milliseconds of a training step by how OpenMP's threads wait for one another: one process alone, and two at once.

The processes work for half a second at a time, interleaved. On a machine with other work the fastest tenth of the steps
tells what it is like in quiet moments, and the mean what the work takes. Run it with: python benchmarks/openmp.py
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import time

import machine

ROUNDS, SECONDS = 8, 0.5
WAYS: dict[str, dict[str, str]] = {
    "as it is": {},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
}
NETWORKS = ("small MLP", "paper's MLP", "convolutions")


def work(network: str) -> None:
    """Train for a while at each line on standard input, and answer with the steps' milliseconds."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    if network == "convolutions":
        layers = [nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten()]
        net, x = nn.Sequential(*layers, nn.Linear(4096, 10)), torch.rand(64, 3, 32, 32)
    else:
        widths = (64, 512, 256, 256) if network == "small MLP" else (784, 2000, 500, 500)
        layers = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
        net, x = nn.Sequential(*layers, nn.Linear(widths[-1], 10)), torch.rand(120, widths[0])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)
    for _ in sys.stdin:
        times, end = [], time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            start = time.perf_counter()
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
            times.append(1000 * (time.perf_counter() - start))
        print(*times, flush=True)


def start(network: str, variables: dict[str, str]) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, __file__, network]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env={**environment, **variables}, stdin=pipe, stdout=pipe, text=True)


def milliseconds(processes: list[subprocess.Popen[str]]) -> list[float]:
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return [float(word) for process in processes for word in process.stdout.readline().split()]


def main() -> None:
    print(f"{machine.about()}; load before {os.getloadavg()[0]:.1f}")
    for network in NETWORKS:
        pairs = {way: [start(network, variables) for _ in range(2)] for way, variables in WAYS.items()}
        steps: dict[tuple[str, int], list[float]] = {(way, many): [] for way in WAYS for many in (1, 2)}
        for way, many in steps:
            milliseconds(pairs[way][:many])  # to warm up
        for _ in range(ROUNDS):
            for way, many in steps:
                steps[way, many] += milliseconds(pairs[way][:many])
        for process in (process for pair in pairs.values() for process in pair):
            process.communicate()
        for (way, many), times in steps.items():
            tenth, mean = statistics.quantiles(times, n=10)[0], statistics.mean(times)
            print(f"{network:13} {many} at once  {way:24} tenth {tenth:8.2f}  mean {mean:8.2f}  steps {len(times)}")


if __name__ == "__main__":
    work(sys.argv[1]) if sys.argv[1:] else main()
