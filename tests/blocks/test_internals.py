"""Each private part of torch and of glibc does here what it is used for: where one changes, this says so first."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
import threading
import warnings
from datetime import timedelta

import pytest
import torch
from packaging.version import Version
from torch import nn

from simssl.blocks import internals
from simssl.blocks.openmp import openmp


def test_the_adam_kernel_steps_as_torch_optim_does() -> None:
    torch.manual_seed(0)
    weights, gradients = torch.randn(50), torch.randn(5, 50)
    reference = nn.Parameter(weights.clone())
    optimizer = torch.optim.Adam([reference], lr=3e-4, fused=True)
    gradient, mean, square = torch.zeros(3, 50)
    step = internals.fused_adam([weights], [gradient], [mean], [square], lr=3e-4)
    for number, values in enumerate(gradients, 1):
        reference.grad = values.clone()
        optimizer.step()
        gradient.copy_(values)
        step(torch.tensor(float(number)))
        torch.testing.assert_close(weights, reference.detach(), rtol=0, atol=0)


def test_a_capturable_optimizer_that_is_allowed_eager_steps_does_not_warn() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([parameter], capturable=True)
    assert hasattr(optimizer, "_warned_capturable_if_run_uncaptured")
    internals.allow_eager_steps(optimizer)
    names = ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check")  # newer and older versions
    check = next(getattr(optimizer, name) for name in names if hasattr(optimizer, name))
    assert optimizer._warned_capturable_if_run_uncaptured
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check()


@pytest.mark.parametrize("weight", [0.25, torch.tensor(0.25), [0.25, 0.25]])
def test_tensors_move_towards_their_targets(weight: float | torch.Tensor | list[float]) -> None:
    tensors, targets = [torch.zeros(3), torch.ones(2, 2)], [torch.full((3,), 4.0), torch.full((2, 2), 5.0)]
    internals.move_towards(tensors, targets, weight)
    assert torch.equal(tensors[0], torch.full((3,), 1.0))
    assert torch.equal(tensors[1], torch.full((2, 2), 2.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batch_norm_tells_the_moments_that_it_normalises_by(dtype: torch.dtype) -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 8.0]], dtype=dtype, requires_grad=True)
    y, mean, scale = internals.batch_norm_with_moments(x, torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0]), 1e-5)
    assert torch.equal(mean, torch.tensor([2.0, 5.0]))
    torch.testing.assert_close(scale, torch.tensor([1.0, 1 / 3]))
    torch.testing.assert_close(y, torch.tensor([[-1.0, -1.0], [1.0, 3.0]], dtype=dtype))
    assert y.requires_grad
    assert not mean.requires_grad
    assert not scale.requires_grad


def test_modules_keep_buffers_and_parameters_where_they_are_looked_for() -> None:
    module = nn.BatchNorm1d(3, affine=False)
    assert set(internals.own_buffers(module)) == {"running_mean", "running_var", "num_batches_tracked"}
    assert internals.own_parameters(module) == {"weight": None, "bias": None}
    del module.running_mean
    internals.own_buffers(module)["running_mean"] = torch.ones(3)
    assert torch.equal(module.state_dict()["running_mean"], torch.ones(3))


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm])
def test_every_batch_norm_is_one(norm: type[nn.Module]) -> None:
    assert isinstance(norm(3), internals.BatchNorm)
    assert not isinstance(nn.LayerNorm(3), internals.BatchNorm)


def test_torch_says_whether_the_processor_multiplies_bfloat16() -> None:
    assert internals.multiplies_bfloat16() in (True, False)
    assert hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")


def test_settings_of_float32_are_there_from_the_version_that_brought_them() -> None:
    settings = internals.float32_settings()
    assert bool(settings) == (Version(torch.__version__) >= Version("2.9"))
    for setting in settings:
        before = copy.copy(setting.fp32_precision)
        setting.fp32_precision = "ieee"
        assert setting.fp32_precision == "ieee"
        setting.fp32_precision = before


def test_graphs_can_be_told_of_generators() -> None:
    assert hasattr(torch.cuda.CUDAGraph, "register_generator_state")


def test_the_allocator_takes_what_it_is_set_to() -> None:
    allocator = internals.allocator()
    if allocator is None:
        pytest.skip("the allocator is not glibc's")
    assert allocator.set(internals.TRIM_THRESHOLD, 64 * 2**20)
    assert allocator.set(internals.MMAP_THRESHOLD, 32 * 2**20)
    assert allocator.set(internals.LARGEST_APART, 128)
    allocator.trim()


@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="this torch is built without CUDA")
def test_an_allocation_to_a_pool_can_be_ended() -> None:
    """What it does shows on CUDA alone (tests/blocks/test_cuda_graphs.py)."""
    names = ("_cuda_endAllocateToPool", "_cuda_endAllocateCurrentStreamToPool")
    assert any(hasattr(torch._C, name) for name in names)
    assert hasattr(torch._C, "_cuda_releasePool")
    assert hasattr(torch._C, "_cuda_clearCublasWorkspaces")
    assert hasattr(torch.cuda.CUDAGraph, "pool")


SPINNING = """
import time
import torch
from simssl.blocks.openmp import openmp

def seconds_of_cores():
    x = torch.zeros(2**18)
    before = time.process_time()
    for _ in range(20):
        x.add_(1)
        time.sleep(0.02)
    return time.process_time() - before

seconds_of_cores()
usual = seconds_of_cores()
with openmp().short_spins():
    time.sleep(0.05)
    short = seconds_of_cores()
time.sleep(0.05)
again = seconds_of_cores()
print(usual, short, again)
"""


@pytest.mark.skipif(openmp() is None, reason="OpenMP is not GNU's")
def test_openmp_spins_less_while_it_has_idle_threads_too_many() -> None:
    """What its threads take of the cores between operations tells: it is the same beside other work."""
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        pytest.skip("there is one core")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-c", SPINNING]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    usual, short, again = map(float, printed.split())
    assert short < usual / 3
    assert short < again / 3


def test_members_of_a_gloo_group_live_in_one_process() -> None:
    store = torch.distributed.HashStore()
    sums = {}

    def work(rank: int) -> None:
        member = internals.gloo_member(store, rank, 2, timedelta(seconds=30))
        value = torch.tensor([1.0 + rank])
        member.allreduce([value]).wait()
        sums[rank] = value.item()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == {0: 3, 1: 3}


def test_the_processes_find_one_store(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    store, rank, size = internals.rendezvous()
    assert (rank, size) == (0, 1)
    store.set("key", "value")
    assert store.get("key") == b"value"
