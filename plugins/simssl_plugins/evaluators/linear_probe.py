"""Linear probe: one layer D-C on the frozen representation, trained as the MLP probe is."""

from __future__ import annotations

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Subject
from simssl.blocks.probes import ProbeParams, check_probe, probe_protocol, train_probes


class LinearProbe(Evaluator):
    """Accuracy on the test split of one linear layer D-C on one layer, trained until it has converged.

    The probes of several targets are trained as one batched network, as the MLP probe's.
    """

    class Params(ProbeParams, simssl.Params):
        """The settings of the probes' training, and nothing else."""

    needs = frozenset({"labels", "test"})

    def check(self, data: Data) -> None:
        check_probe(self.params, data)

    @classmethod
    def oracle(cls) -> Oracle:
        return Oracle(
            representation=lambda x_BCHW: x_BCHW.flatten(1),
            values={"corner/accuracy": (1.0, 1.0)},
            noise={"corner/accuracy": (0.05, 0.55)},
            params={"lr": 1e-2, "epochs": 60, "select": "test"},
        )

    def run(self, subject: Subject) -> Result:
        metrics = {}
        for probed in train_probes(subject, self.params, hidden=0):
            metrics[f"{probed.target}/accuracy"] = Metric(
                probed.accuracy, "fraction", "higher", probed.protocol, probed.held_out
            )
        return Result(metrics, protocol=probe_protocol(self.params, subject.data))


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return LinearProbe
