"""The processes of one run, as `torchrun` starts them: how they meet, what they agree on, and how they end.

Process 0 decides, writes and speaks. The others follow, and are silent.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from simssl.blocks.internals import rendezvous
from simssl.errors import Interrupted, LostProcessError, RunError, SimsslError, ToldError, UserError
from simssl.launch import torchrun
from simssl.training.machine.process_group import TorchGroup
from simssl.training.stop import StopOnce

TIMEOUT = timedelta(minutes=10)
"""After which a process gives up that waits for another one in training."""
PATIENT = timedelta(days=30)
"""The same where process 0 does something alone: it may decode images, or measure, for as long as it takes."""
LOOK = 0.5
"""Seconds between two moments in training at which the processes agree on whether to stop."""
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
        found, self.rank, self.size = rendezvous()
        store: Any = dist.PrefixStore(f"attempt {torchrun.attempt()}", found)
        dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.size, timeout=TIMEOUT)
        self.group = TorchGroup(dist.group.WORLD)
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
        if self.rank == 0:
            try:
                made[0] = make()
            except SimsslError as error:
                made[1] = (type(error), str(error)) if type(error) in (UserError, RunError) else (RunError, str(error))
        with _losses():
            dist.broadcast_object_list(made, src=0, group=self._patient)
        if made[1] is not None:
            kind, message = made[1]
            raise kind(message)
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
        if self.rank:
            kind = "stopped" if isinstance(error, Interrupted) else "ended"
            self._words.set(f"{kind}/{self.rank}", str(error) or type(error).__name__)
            self._all_there(["told"], WORD)
            self._words.set(f"left/{self.rank}", "")
            return ToldError(getattr(error, "exit_code", 1))
        words = self._last_words("ended")
        if words and isinstance(error, Interrupted):  # by torchrun, because another process has ended
            error = RunError(f"{'; '.join(words)}; {AFTERWARDS}")
        self._let_others_hear()
        return error

    def _after_a_loss(self) -> BaseException:
        """The ending of a process that has lost another one: the first of those that are left tells it."""
        self._words.set(f"lost/{self.rank}", "")
        if self.rank and self._all_there(["told"], WORD * (1 + self.rank)):
            self._words.set(f"left/{self.rank}", "")
            return ToldError(1)
        end = time.monotonic() + WORD
        while time.monotonic() < end and self._silent() and not self._last_words(*WITH_WORDS):
            time.sleep(0.05)
        sentences = self._last_words(*WITH_WORDS) or [self._without_word(rank) for rank in self._silent()]
        sentences = sentences or [f"a process did not answer for {TIMEOUT}"]
        self._let_others_hear()
        return RunError(f"{'; '.join(sentences)}; {AFTERWARDS}")

    def _let_others_hear(self) -> None:
        """Let the others know that this process tells the user. It may hold the store, so it waits for them."""
        self._words.set("told", "")
        waiting = [rank for rank in range(self.size) if rank != self.rank and rank not in self._silent()]
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
        """Leave the groups. Whatever still held them when Python ends would end it with an abort."""
        self.group.close()
        self._patient = self._words = None
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


class StopTogether(StopOnce):
    """A guard of several processes: a signal to one stops all of them after the same step."""

    def __init__(self, processes: Processes) -> None:
        super().__init__()
        self._processes = processes
        self._next = 0
        """The step after which they agree next."""
        self._before_step = (0, time.perf_counter())

    def asked(self, step: int, last: bool = False) -> int | None:
        """Return the signal that asks for an end after this step; on all processes the same."""
        if step < self._next and not last:
            return None
        last_step, last_time = self._before_step
        now = time.perf_counter()
        seconds_a_step = (now - last_time) / max(1, step - last_step)
        self._before_step = (step, now)
        signum, seconds = self._agree(seconds_a_step)
        self._next = step + max(1, int(LOOK / max(seconds, 1e-9)))
        return signum

    def _agree(self, seconds: float) -> tuple[int | None, float]:
        """Return the signal that any process has got, and the most seconds that a step has taken on one of them."""
        own = torch.tensor([float(self.signum or 0), seconds], dtype=torch.float64)
        all_R2 = self._processes.group.gather(own)
        signum, most = all_R2.amax(0).tolist()
        if signum:
            self.signum = int(signum)
        return self.signum, most

    @contextmanager
    def deferred(self) -> Iterator[None]:
        with super().deferred():
            yield
            self._agree(0.0)
