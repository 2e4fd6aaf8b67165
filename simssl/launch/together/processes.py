"""The processes of one run, as `torchrun` starts them: how they meet, what they agree on, and how they end.

Process 0 decides, writes and speaks. The others follow, and are silent.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from simssl.blocks.internals import rendezvous
from simssl.errors import Interrupted, LostProcessError, RunError, SimsslError, ToldError, UserError
from simssl.launch.together import torchrun
from simssl.training.machine.device import choose_device
from simssl.training.machine.process_group import TorchGroup

TIMEOUT = timedelta(minutes=10)
"""After which a process gives up that waits for another one in training."""
PATIENT = timedelta(days=30)
"""The same where process 0 does something alone: it may decode images, or measure, for as long as it takes."""
WORD = 3.0
"""Seconds for which a process that has lost another one waits for its last word."""

WITH_WORDS = ("ended", "stopped")
"""The ways in which a process ends that leaves its last words: with an error, and on a signal."""
AFTERWARDS = "the others have ended, too, and saved nothing since; the same command goes on from the last checkpoint"

Made = TypeVar("Made")


class Processes:
    """All processes of the run, as this one sees them."""

    def __init__(self, device: torch.device) -> None:
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        shared, self.rank, self.size = rendezvous()
        store: Any = dist.PrefixStore(f"attempt {torchrun.attempt()}", shared)
        dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.size, timeout=TIMEOUT)
        # not the default group, whose connections stay open as long as this process lives
        self.group = TorchGroup(dist.new_group(backend=backend, timeout=TIMEOUT))
        self._patient: Any = dist.new_group(backend="gloo", timeout=PATIENT)
        self._words: Any = dist.PrefixStore("words", store)
        names = self.of_all(f"{socket.gethostname()}, process {os.getpid()}")
        self._names = [f"process {rank} of {self.size} ({name})" for rank, name in enumerate(names)]

    # --- what they agree on ---------------------------------------------------------------------------

    def of_all(self, value: Made) -> list[Made]:
        """Return what every process hands in here, in the order of their ranks."""
        values: list[Any] = [None] * self.size
        with _losses():
            dist.all_gather_object(values, value, group=self._patient)
        return values

    def from_first(self, make: Callable[[], Made]) -> Made:
        """Return on every process what process 0 makes. Meanwhile the others wait. Its error is raised on all."""
        made: list[Any] = [None, None]
        cause: SimsslError | None = None
        if self.rank == 0:
            try:
                made[0] = make()
            except SimsslError as error:
                cause = error
                made[1] = (type(error), str(error)) if type(error) in (UserError, RunError) else (RunError, str(error))
        with _losses():
            dist.broadcast_object_list(made, src=0, group=self._patient)
        if made[1] is not None:
            kind, message = made[1]
            raise kind(message) from cause
        result: Made = made[0]
        return result

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.of_all(None)

    def require_alike(self, facts: dict[str, str]) -> None:
        """Raise RunError on all processes if they have not the same facts."""
        of_all = self.of_all(facts)
        for rank, others in enumerate(of_all):
            for name in sorted(of_all[0].keys() | others.keys()):
                first, other = of_all[0].get(name, "nothing"), others.get(name, "nothing")
                if first != other:
                    raise RunError(
                        f"{self._names[rank]} has for {name}: {other}, and process 0 has: {first}; a run needs the "
                        "same on all of its processes"
                    )

    def all_failed(self, number: int, message: str) -> bool:
        """Return whether the run with this number failed on all processes, which come to know it within seconds."""
        self._words.set(f"failed/{number}/{self.rank}", message)
        keys = [f"failed/{number}/{rank}" for rank in range(self.size)]
        return self._all_there(keys, 2 * WORD)

    # --- how they end ---------------------------------------------------------------------------------

    def end(self, error: BaseException) -> BaseException:
        """Return the error that this process ends in: of all processes one tells the user, the others ToldError."""
        for signum in (signal.SIGTERM, signal.SIGINT):  # torchrun sends one to those that are left
            signal.signal(signum, signal.SIG_IGN)
        try:
            lost = isinstance(error, LostProcessError)
            return self._after_a_loss() if lost else self._own(error)
        except RuntimeError:  # the store is gone, with the process that held it: 0, where torchrun holds none
            if isinstance(error, LostProcessError):
                return RunError(f"{self._without_word(0)}; {AFTERWARDS}")
            return error

    def _own(self, error: BaseException) -> BaseException:
        """The ending of a process with an error of its own. Process 0 tells it; it hears of it by the store."""
        stopped = isinstance(error, Interrupted)  # as all are, or by torchrun, because another process has ended
        if self.rank:
            self._words.set(f"{'stopped' if stopped else 'ended'}/{self.rank}", str(error) or type(error).__name__)
            self._leave()
            self._all_there(["told"], WORD)
            self._words.set(f"left/{self.rank}", "")
            return ToldError(getattr(error, "exit_code", 1))
        self._let_others_hear()
        sentences = self._last_words("ended") or [self._without_word(rank) for rank in self._silent()]
        if sentences and stopped:
            return RunError(f"{'; '.join(sentences)}; {AFTERWARDS}")
        return error

    def _after_a_loss(self) -> BaseException:
        """The ending of a process that has lost another one: the first of those that are left tells it."""
        self._words.set(f"lost/{self.rank}", "")
        self._leave()
        if self.rank and self._all_there(["told"], WORD * (1 + self.rank)):
            self._words.set(f"left/{self.rank}", "")
            return ToldError(1)
        end = time.monotonic() + WORD
        while time.monotonic() < end and self._silent() and not self._last_words(*WITH_WORDS):
            time.sleep(0.05)
        silent = self._silent()
        sentences = self._last_words(*WITH_WORDS) or [self._without_word(rank) for rank in silent]
        sentences = sentences or [f"a process did not answer for {TIMEOUT}"]
        self._let_others_hear(silent)
        return RunError(f"{'; '.join(sentences)}; {AFTERWARDS}")

    def _let_others_hear(self, gone: Sequence[int] = ()) -> None:
        """Let the others know that this process tells the user. It may hold the store, so it waits for them."""
        self._words.set("told", "")
        self._leave()
        waiting = [rank for rank in range(self.size) if rank != self.rank and rank not in gone]
        self._all_there([f"left/{rank}" for rank in waiting], WORD)

    def _silent(self) -> list[int]:
        """The processes that have neither ended with a word nor lost another one."""
        heard = ("lost", *WITH_WORDS)
        others = [rank for rank in range(self.size) if rank != self.rank]
        return [rank for rank in others if not any(self._there(f"{kind}/{rank}") for kind in heard)]

    def _last_words(self, *kinds: str) -> list[str]:
        words = []
        for rank in range(self.size):
            for kind in kinds:
                if self._there(f"{kind}/{rank}"):
                    word = self._words.get(f"{kind}/{rank}").decode()
                    words.append(f"{self._names[rank]} has ended: {word}")
        return words

    def _without_word(self, rank: int) -> str:
        return f"{self._names[rank]} has ended without a word (killed, or out of memory)"

    def close(self) -> None:
        """Leave the groups and the store. Whatever still held them when Python ends would end it with an abort."""
        self._leave()
        self._words = None
        gc.collect()

    def _leave(self) -> None:
        """Leave the groups, so that a process that waits in an exchange hears of it."""
        if dist.is_initialized():
            self.group.close()
            self._patient = None
            dist.destroy_process_group()
            gc.collect()

    def _there(self, key: str) -> bool:
        return bool(self._words.check([key]))

    def _all_there(self, keys: list[str], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while keys and not self._words.check(keys):
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True


@contextmanager
def _losses() -> Iterator[None]:
    """Turn torch's errors in an exchange into LostProcessError."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError(str(error)) from error


@contextmanager
def connected(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun has started for this command, connected for as long as this lasts."""
    processes = Processes(device)
    try:
        yield processes
        processes.wait()
    except BaseException as error:
        ending = processes.end(error)
        if ending is error:
            raise
        raise ending from error
    finally:
        processes.close()


def device_here(name: str) -> torch.device:
    """The device with the number that this process has on its host; the CPU if that is asked for."""
    device = choose_device(name)
    if device.type != "cuda":
        return device
    if device.index is not None:
        raise UserError("give --device cuda: each process takes the device that has its number on the host")
    number = torchrun.number_on_its_host()
    count = torch.cuda.device_count()
    if number >= count:
        raise UserError(f"this host has more processes than CUDA devices; start {count} of them")
    return torch.device("cuda", number)
