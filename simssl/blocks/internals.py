"""Parts of torch and glibc that they do not promise, and simssl uses all the same: each in one function.

Its docstring gives the reason. A test calls each of them against the installed versions
(`tests/blocks/test_internals.py`), so that a change is noticed there first.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from packaging.version import Version
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

BatchNorm = _BatchNorm
"""The class of all batch norms. torch exports the classes for images and for rows alone, which have no public base."""


# --- optimisers ------------------------------------------------------------------------------------------


def fused_adam(
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    means: Sequence[Tensor],
    squares: Sequence[Tensor],
    lr: float,
) -> Callable[[Tensor], None]:
    """A function that takes one step of Adam, in place, given the number of the step (from 1, a 0-d tensor).

    It is the kernel alone, at torch.optim's defaults: the rest of `torch.optim.Adam` takes 45 to 60 microseconds, where
    the step of a small probe takes 7.
    """
    settings: dict[str, Any] = {
        "lr": lr,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "weight_decay": 0,
        "amsgrad": False,
        "maximize": False,
    }
    tensors = (list(weights), list(gradients), list(means), list(squares))
    step: Any = partial(torch._fused_adam_, *tensors, [], **settings)
    count = len(weights)
    return lambda number: step([number] * count)


def allow_eager_steps(optimizer: torch.optim.Optimizer) -> None:
    """Keep a capturable optimiser from warning that it takes an eager step: it takes both kinds here."""
    optimizer._warned_capturable_if_run_uncaptured = True


def move_towards(
    tensors: Sequence[Tensor], targets: Sequence[Tensor], weight: float | Tensor | Sequence[float]
) -> None:
    """Add to each tensor, in place, `weight` times its difference from its target, in three launches for all.

    A weight may be for all tensors, or be given for each.

    `torch._foreach_lerp_` would be one launch, but takes no weight from the device in older versions of torch.
    """
    difference = torch._foreach_sub(list(targets), list(tensors))
    torch._foreach_mul_(difference, weight)
    torch._foreach_add_(list(tensors), difference)


def copy_each(tensors: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy each source into its tensor, which may have numbers of another type, in one call for all."""
    if tensors:
        torch._foreach_copy_(list(tensors), list(sources))


def batch_norm_with_moments(
    x_NC: Tensor, weight_C: Tensor, bias_C: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The batch (N, C, ...), each channel normalised by itself; its mean (C,), and 1 / sqrt(variance + eps) (C,).

    The moments have the type of the weight, which may be float32 where the batch is of half precision. The public
    functions keep the moments to themselves, and move running statistics by them.
    """
    y_NC, mean_C, scale_C = torch.native_batch_norm(x_NC, weight_C, bias_C, None, None, True, 0.0, eps)
    return y_NC, mean_C.detach(), scale_C.detach()


# --- modules ---------------------------------------------------------------------------------------------


def own_buffers(module: nn.Module) -> dict[str, Tensor | None]:
    """The dict in which a module keeps its own buffers, those that are None among them.

    `named_buffers` leaves out those that are None, and nothing public puts another tensor back under a name that a
    plugin has deleted.
    """
    return module._buffers


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter | None]:
    """The dict in which a module keeps its own parameters, those that are None among them."""
    return module._parameters


# --- precision -------------------------------------------------------------------------------------------


def multiplies_bfloat16() -> bool:
    """Return whether the CPU's matrix products of bfloat16 are oneDNN's.

    Elsewhere torch has a plain loop for them, which takes hundreds of times as long. No public function tells them
    apart.
    """
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def float32_settings() -> tuple[Any, ...]:
    """The objects of newer versions of torch (2.9 and later) that have a setting `fp32_precision`; none in older ones.

    They rule over `allow_tf32`, and of settings that contradict one another the older ones cannot be read.
    """
    cudnn: Any = torch.backends.cudnn
    onednn: Any = torch.backends.mkldnn
    if not hasattr(cudnn, "conv"):
        return ()
    return torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn, onednn.matmul, onednn.conv


# --- CUDA graphs -----------------------------------------------------------------------------------------


def register_generator(graph: torch.cuda.CUDAGraph, generator: torch.Generator) -> None:
    """Tell a graph that it draws from a generator. torch 2.14 and later do so by themselves."""
    if Version(torch.__version__) < Version("2.14"):
        graph.register_generator_state(generator)


def end_allocation(pool: Any, index: int) -> bool:
    """Stop allocating from the pool of a capture that has failed, on the device with this number.

    False if torch has done so itself. Before version 2.13 it does not if the capture is invalid: its allocator then
    takes the capture for unfinished, and `torch.cuda.empty_cache` frees nothing.
    """
    functions: Any = torch._C
    is_new = hasattr(functions, "_cuda_endAllocateToPool")
    end = functions._cuda_endAllocateToPool if is_new else functions._cuda_endAllocateCurrentStreamToPool
    try:
        end(index, pool)
    except RuntimeError:
        return False
    return True


def keeps_its_pool(graph: torch.cuda.CUDAGraph) -> bool:
    """Return whether a graph whose capture has failed will keep its share in its pool.

    Before version 2.14 a graph gives its share back only if its capture was ended, which its `pool` tells.
    """
    if Version(torch.__version__) >= Version("2.14"):
        return False
    try:
        graph.pool()
    except RuntimeError:
        return True
    return False


def release_pool(pool: Any, index: int) -> None:
    """Give up a graph's share in a pool, on the device with this number. Without shares its memory can be freed."""
    torch._C._cuda_releasePool(index, pool)


def clear_workspaces() -> None:
    """Free the memory that cuBLAS works in. It may lie in a graph's pool, which it would keep: no graph may be left.

    Newer versions of torch do so by themselves where a graph is destroyed.
    """
    torch._C._cuda_clearCublasWorkspaces()


# --- processes -------------------------------------------------------------------------------------------


def gloo_member(store: Any, rank: int, size: int, timeout: timedelta) -> Any:
    """A member of a gloo group that finds the others through a store of torch's.

    The public functions know one group a process, and let no two members of it live in one.
    """
    return dist.ProcessGroupGloo(store, rank, size, timeout)


def rendezvous() -> tuple[Any, int, int]:
    """The store through which the processes find one another that torchrun has started; this one's rank; their number.

    `init_process_group` finds the store itself, but takes no prefix for its keys. torchrun keeps one store over its
    restarts, and a process that was started again would read where those before it had listened.
    """
    store_rank_size: tuple[Any, int, int] = next(dist.rendezvous("env://"))
    return store_rank_size


# --- memory of the host ----------------------------------------------------------------------------------

LARGEST_APART = 1
"""`mallopt`'s M_MXFAST: the largest freed block that does not join the free ones beside it, in bytes."""
TRIM_THRESHOLD = -1
"""`mallopt`'s M_TRIM_THRESHOLD: the free bytes at the heap's end from which on they go back to the kernel."""
MMAP_THRESHOLD = -3
"""`mallopt`'s M_MMAP_THRESHOLD: the smallest block that is a mapping of its own, which goes back once it is freed."""


class Allocator:
    """glibc's allocator. torch uses it for tensors on a CPU, and has no setting for what it keeps."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def set(self, parameter: int, value: int) -> bool:
        """Set a parameter; False if this version does not take the value."""
        return bool(self._library.mallopt(parameter, value))

    def trim(self) -> None:
        """Give all that is free back to the kernel."""
        self._library.malloc_trim(0)


def allocator() -> Allocator | None:
    """The allocator of this process; None where it is not glibc's."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    is_glibc = hasattr(library, "gnu_get_libc_version")
    return Allocator(library) if is_glibc else None
