"""submitit's executor for what the user asks of a cluster."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from simssl.errors import UserError
from simssl.experiment.yaml12 import parse_override

if TYPE_CHECKING:
    from submitit.core.core import PicklingExecutor

MINUTES = 240
"""The time of a task where the user does not say it. A longer run is resubmitted."""

TIMEOUTS = 1_000
"""How often a run may run out of time."""


@dataclass(frozen=True)
class Request:
    """What the user wants of a cluster."""

    cluster: Literal["slurm", "local"]
    options: Sequence[str] = ()
    """NAME=VALUE of the cluster's, such as partition=gpu."""
    nodes: int = 1
    gpus: int | None = None
    """GPUs of a run, on all of its nodes; None for none."""

    @property
    def processes(self) -> int:
        """Processes of a run on each of its nodes: one a GPU."""
        return max(1, (self.gpus or 0) // self.nodes)


def check_request(request: Request) -> None:
    """UserError if submitit is missing, there is no such cluster, or the GPUs do not divide among the nodes."""
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--cluster {request.cluster} takes submitit, which is not installed: python -m pip install 'simssl[slurm]'"
        ) from error
    if request.cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
        raise UserError(
            "--cluster slurm takes Slurm, and there is no sbatch and srun here; give the command on a node "
            "from which jobs are submitted"
        )
    if (request.gpus or 0) % request.nodes:
        raise UserError(f"--gpus-per-run {request.gpus} does not divide among {request.nodes} nodes")
    if request.cluster == "local" and request.nodes > 1:
        raise UserError("--cluster local is this machine alone; leave --nodes out")


def executor_for(folder: Path, name: str, request: Request) -> PicklingExecutor:
    """Return submitit's executor for jobs of this name. UserError if it does not take an option that is asked for."""
    from submitit.local.local import LocalExecutor
    from submitit.slurm.slurm import SlurmExecutor

    executor: PicklingExecutor
    options = _options(request.options)
    try:
        if request.cluster == "local":
            executor = LocalExecutor(folder, max_num_timeout=TIMEOUTS)
            executor.update_parameters(**_for_local(options, request))
        else:
            executor = SlurmExecutor(folder, max_num_timeout=TIMEOUTS)
            executor.update_parameters(**_for_slurm(options, name, request))
    except (RuntimeError, ValueError, TypeError) as error:
        raise UserError(f"--cluster {request.cluster}: {error}") from error
    return executor


def _options(texts: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in texts:
        name, value = parse_override(text)
        options[name.replace("-", "_")] = value.tree
    time = options.get("time", MINUTES)
    if type(time) is not int or time < 1:
        raise UserError(f"--cluster-option time={time}: the time of a task is a whole number of minutes")
    return options


def _for_local(options: dict[str, Any], request: Request) -> dict[str, Any]:
    minutes = options.pop("time", MINUTES)
    return {"timeout_min": minutes, "tasks_per_node": request.processes, "gpus_per_node": request.gpus or 0, **options}


def _for_slurm(options: dict[str, Any], name: str, request: Request) -> dict[str, Any]:
    """The parameters of submitit's executor. Options that it does not know are sbatch's."""
    from submitit.slurm.slurm import SlurmExecutor

    known = SlurmExecutor._valid_parameters()
    parameters: dict[str, Any] = {
        "job_name": name,
        "time": MINUTES,
        "nodes": request.nodes,
        "ntasks_per_node": request.processes,
    }
    if request.gpus:
        parameters["gpus_per_node"] = request.gpus // request.nodes
    others: dict[str, Any] = {"requeue": True}
    for option, value in options.items():
        (parameters if option in known else others)[option] = value
    return {**parameters, "additional_parameters": others}
