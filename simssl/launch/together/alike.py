"""What has to be the same on all processes of a run, by name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from simssl.api import Data
from simssl.experiment.model import Experiment
from simssl.store.environment import Json


def facts_of_file(numbers: Sequence[int], experiments: Sequence[Experiment]) -> dict[str, str]:
    """What the command is to work on."""
    digests = " ".join(experiment.digest for experiment in experiments)
    digest = hashlib.sha256(digests.encode()).hexdigest()[:12]
    return {"the experiment": f"{len(numbers)} of {len(experiments)} runs, digest {digest}"}


def facts_of_run(data: Data, made_with: Json) -> dict[str, str]:
    """What a run is made of."""
    facts = {"simssl": made_with["simssl"], "the data": data.fingerprint}
    facts |= {name: str(version) for name, version in made_with["libraries"].items()}
    facts |= {name: str(version) for name, version in made_with["plugins"].items()}
    for files in (made_with["plugin_files"], made_with["plugin_modules"]):
        facts |= {f"the code of {name}": source["sha256"] for name, source in files.items()}
    return facts
