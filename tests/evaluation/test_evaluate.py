"""metrics.json: what was measured, by which protocol, and what was skipped and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

Command = Callable[..., Result]
Write = Callable[..., Path]


def metrics(run: Path | None = None) -> dict[str, Any]:
    (run,) = [run] if run else Path("runs/small").iterdir()
    document = json.loads((run / "metrics.json").read_text())
    assert set(document) == {"schema", "experiment", "objective", "seed", "family", "roles", "about", "metrics"}
    entries: dict[str, Any] = document["metrics"]
    return entries


def test_every_number_has_unit_direction_and_protocol(simssl: Command, small: Write) -> None:
    names = ["knn", "style_probe", "reconstruction"]
    evaluators = [*({"name": n} for n in names), {"name": "mlp_probe", "epochs": 2}]
    assert simssl("run", small(evaluators=evaluators)).exit_code == 0
    entries = metrics()
    assert {key.split("/")[0] for key in entries} == {*names, "mlp_probe"}
    for key, entry in entries.items():
        assert set(entry) - {"held_out"} == {"value", "unit", "better", "protocol"}, key
        assert {"evaluator", "data", "split"} <= set(entry["protocol"]), key
    text = (next(Path("runs/small").iterdir()) / "metrics.json").read_text()
    assert str(Path.cwd()) not in text


def test_what_does_not_apply_is_recorded_with_its_reason(simssl: Command, small: Write) -> None:
    result = simssl("run", small(objective={"name": "simclr"}, views={}, evaluators=[{"name": "reconstruction"}]))
    assert result.exit_code == 0
    assert metrics()["reconstruction"]["skipped"] == "simclr has no decoder"
    assert "reconstruction: skipped, simclr has no decoder" in result.stdout
    assert (
        "is done already"
        in simssl("run", small(objective={"name": "simclr"}, views={}, evaluators=[{"name": "reconstruction"}])).stderr
    )


def test_style_needs_views_that_vary(simssl: Command, small: Write) -> None:
    simssl("run", small(views={}, evaluators=[{"name": "style_probe"}]))
    assert metrics()["style_probe"]["skipped"] == "the views do not vary"


def test_style_needs_views_that_vary_without_each(simssl: Command, small: Write) -> None:
    views = {"each": [{"crop": {}}, {"crop": {}}]}
    simssl("run", small(objective={"name": "simclr"}, views=views, evaluators=[{"name": "style_probe"}]))
    reason = "the views do not vary but by 'each', and evaluators draw them without it"
    assert metrics()["style_probe"]["skipped"] == reason


@pytest.mark.parametrize("name", ["knn", "mlp_probe", "linear_probe", "attributes", "gmm"])
@pytest.mark.parametrize(
    ("targets", "message"),
    [([], "a list with at least 1 of them, not a list of 0"), (["class", "class"], "named twice")],
)
def test_targets_are_some_and_each_once(
    name: str, targets: list[str], message: str, simssl: Command, small: Write
) -> None:
    result = simssl("run", small(evaluators=[{"name": name, "targets": targets}]))
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_evaluator_must_measure_something(simssl: Command, small: Write, package: Callable[..., Path]) -> None:
    code = """
        import simssl
        from simssl.api import Evaluator, Result

        class Nothing(Evaluator):
            def run(self, subject):
                return Result({})

        @simssl.hookimpl
        def simssl_evaluator():
            return Nothing
    """
    package("nothing-measured", "nothing_measured", code, evaluator="nothing")
    result = simssl("run", small(evaluators=[{"name": "nothing"}]))
    assert result.exit_code == 1
    assert "run() measured nothing: its Result has no metrics" in result.stderr


def test_a_later_measurement_leaves_the_record_of_the_training(simssl: Command, small: Write) -> None:
    def record() -> dict[str, Any]:
        (run,) = Path("runs/small").iterdir()
        recorded: dict[str, Any] = json.loads((run / "environment.json").read_text())
        return recorded

    simssl("run", small())
    first = record()
    simssl("run", small(evaluators=[{"name": "knn"}, {"name": "reconstruction"}]))
    second = record()
    assert first["training"] == second["training"]
    assert first["measurement"]["times"]["first_started"] == second["measurement"]["times"]["first_started"]
    assert "plugins" in second["measurement"]
    assert "evaluator reconstruction" in second["measurement"]["plugins"]


@pytest.mark.parametrize("damage", [None, "zz", "- 1"])
def test_a_run_that_no_table_can_show_is_not_done(damage: str | None, simssl: Command, small: Write) -> None:
    simssl("run", small())
    (file,) = Path("runs").rglob("experiment.yaml")
    before = file.read_text()
    file.unlink() if damage is None else file.write_text(damage)
    result = simssl("run", small())
    assert result.exit_code == 0, result.stderr
    assert file.read_text() == before


def test_a_run_without_evaluators_is_done_once_it_is_trained(simssl: Command, small: Write) -> None:
    assert simssl("run", small(evaluators=[])).exit_code == 0
    assert metrics() == {}
    assert "is done already" in simssl("run", small(evaluators=[])).stderr


def test_two_evaluators_of_one_name(simssl: Command, small: Write) -> None:
    evaluators = [{"name": "knn"}, {"name": "knn", "as": "knn_on_test", "select": "test"}]
    result = simssl("run", small(evaluators=evaluators))
    assert set(metrics()) == {"knn/class/accuracy", "knn_on_test/class/accuracy"}
    assert "(selected on test)" in result.stdout.replace("\n", " ").replace("  ", " ")


def test_new_evaluators_on_an_old_run(simssl: Command, small: Write) -> None:
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    before = metrics()
    result = simssl("evaluate", run, "-e", "style_probe", "-e", "{name: knn, as: near, k: 1}")
    assert result.exit_code == 0, result.stderr
    assert {"knn/class/accuracy", "near/class/accuracy", "style_probe/R2"} <= set(metrics())
    assert metrics()["knn/class/accuracy"] == before["knn/class/accuracy"]
    assert metrics()["near/class/accuracy"]["protocol"]["selected"] == {"k": 1}


def test_the_order_of_evaluators_changes_nothing(simssl: Command, small: Write) -> None:
    names = ["knn", "style_probe", "reconstruction"]
    texts = []
    for runs, order in (("a", names), ("b", names[::-1])):
        simssl("run", small(evaluators=[{"name": n} for n in order]), "--runs", runs)
        texts.append(next(Path(runs).rglob("metrics.json")).read_text())
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere is not a run's folder: it has no experiment.yaml"),
        (["nowhere", "-e", "kn"], "no evaluator is called 'kn'; did you mean 'knn'?"),
        (["nowhere", "-e", "{name: knn, kk: 1}"], "unknown key 'kk'; did you mean 'k'?"),
        (["nowhere", "-e", "{name: knn"], "'{name: knn': not YAML"),
    ],
)
def test_evaluate_says_what_is_wrong(words: list[str], message: str, simssl: Command) -> None:
    result = simssl("evaluate", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unfinished_run_is_not_evaluated(simssl: Command, small: Write) -> None:
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    (run / "checkpoint.pt").unlink()
    result = simssl("evaluate", run, "-e", "style_probe")
    assert result.exit_code == 2
    assert "has no checkpoint.pt" in result.stderr


def test_an_evaluator_that_fails_spares_what_was_measured(
    simssl: Command, small: Write, package: Callable[..., Path]
) -> None:
    code = """
        import simssl
        from simssl.api import Evaluator, Metric, Result

        class Broken(Evaluator):
            '''Finds not-a-number.'''
            def run(self, subject):
                return Result({"rank": Metric(float("nan"), "dimensions")}, protocol={"split": "test"})

        @simssl.hookimpl
        def simssl_evaluator():
            return Broken
    """
    package("nan-dist", "nan_evaluator", code, evaluator="nan")
    result = simssl("run", small(evaluators=[{"name": "knn"}, {"name": "nan"}]))
    assert result.exit_code == 1
    assert "evaluator 'nan' found nan for nan/rank" in result.stderr
    assert set(metrics()) == {"knn/class/accuracy"}


def test_what_will_be_skipped_is_said_before_the_training(simssl: Command, small: Write) -> None:
    result = simssl("run", small(objective={"name": "simclr"}, evaluators=[{"name": "reconstruction"}]))
    lines = result.stderr.splitlines()
    assert lines[0] == "reconstruction will be skipped: simclr has no decoder"
    assert lines[1].startswith("[1/1]")


@pytest.mark.parametrize("crop", [{"scale": [1, 1], "ratio": [1, 1]}, {"scale": [0.7, 0.7], "ratio": [1, 1]}])
def test_style_that_does_not_vary_is_left_out(crop: dict[str, Any], simssl: Command, small: Write) -> None:
    """A whole image has nothing to read; a crop of fixed size has its position alone."""
    from simssl.plugin.registry import Registry

    Registry().load("dataset", "mnist").example(Path("data"))
    file = small(dataset={"name": "mnist"}, views={"crop": crop}, evaluators=[{"name": "style_probe"}])
    assert simssl("run", file).exit_code == 0
    entries = metrics()
    if crop["scale"] == [1, 1]:
        assert entries["style_probe"]["skipped"] == "no parameter of the views varies"
    else:
        assert set(entries) == {f"style_probe/{n}" for n in ("R2", "crop_centre_x/R2", "crop_centre_y/R2")}


def test_evaluate_without_names_runs_what_is_missing(simssl: Command, small: Write) -> None:
    simssl("run", small(evaluators=[{"name": "knn"}, {"name": "style_probe"}]))
    (run,) = Path("runs/small").iterdir()
    document = json.loads((run / "metrics.json").read_text())
    whole = dict(document["metrics"])
    document["metrics"] = {key: entry for key, entry in whole.items() if key.startswith("knn")}
    (run / "metrics.json").write_text(json.dumps(document))
    assert simssl("evaluate", run).exit_code == 0
    assert metrics() == whole


def test_asking_for_one_label_twice_is_refused(simssl: Command, small: Write) -> None:
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    result = simssl("evaluate", run, "-e", "{name: knn, k: 1}", "-e", "{name: knn, k: 2}")
    assert result.exit_code == 2
    assert "'knn' is asked for twice; tell them apart with 'as: another-name'" in result.stderr
    assert "knn is measured again" in simssl("evaluate", run, "-e", "{name: knn, k: 1}").stderr


@pytest.mark.parametrize("content", ["", "{", '{"times": 3}', "[]"])
def test_a_damaged_record_is_written_anew(content: str, simssl: Command, small: Write) -> None:
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    (run / "environment.json").write_text(content)
    result = simssl("run", small(evaluators=[{"name": "knn", "k": 1}]))
    assert result.exit_code == 0
    assert "environment.json is damaged and is written anew" in result.stderr


def emptied(features_ND: np.ndarray) -> np.ndarray:
    features_ND[:200] = 0
    return features_ND


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda content: b"",
    "junk": lambda content: b"junk",
    "cut": lambda content: content[:100],
    "a bit": lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
    "zeros": lambda content: content[:3000] + bytes(1000) + content[4000:],
}
SAVED_OVER: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "zeros": emptied,
    "not a number": lambda features_ND: np.full_like(features_ND, np.nan),
    "shape": lambda features_ND: features_ND[:10],
    "type": lambda features_ND: features_ND.astype(str),
}


def save_over(file: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(file, change(np.load(file)))


def overwrite(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


def test_damaged_features_are_computed_anew_and_it_is_said(simssl: Command, small: Write) -> None:
    """The same command gives the same numbers, to the last bit, and not those of the damaged features."""
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    before = (run / "metrics.json").read_bytes()
    file = run / "features" / "representation-train.npy"
    features = file.read_bytes()
    damages = [partial(overwrite, change=change) for change in DAMAGES.values()]
    damages += [partial(save_over, change=change) for change in SAVED_OVER.values()]
    for damage in damages:
        damage(file)
        (run / "metrics.json").unlink()
        result = simssl("run", small())
        assert result.exit_code == 0, result.stderr
        assert f"{file} is damaged, or an older simssl made it; the features are computed anew" in result.stderr
        assert (run / "metrics.json").read_bytes() == before
        assert file.read_bytes() == features


def test_features_of_other_weights_or_another_split_are_computed_anew(simssl: Command, small: Write) -> None:
    simssl("run", small(), "--seed", 0)
    simssl("run", small(), "--seed", 1)
    one, other = sorted(Path("runs/small").iterdir())
    before = (one / "metrics.json").read_bytes()
    train, test = (one / "features" / f"representation-{split}.npy" for split in ("train", "test"))
    train.write_bytes((other / "features" / "representation-train.npy").read_bytes())
    test.write_bytes((other / "features" / "representation-train.npy").read_bytes())
    (one / "metrics.json").unlink()
    result = simssl("run", small(), "--seed", 0)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("computed anew") == 2
    assert (one / "metrics.json").read_bytes() == before


def test_a_run_copied_without_its_lock_can_be_evaluated(simssl: Command, small: Write) -> None:
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    (run / ".lock").unlink()
    assert simssl("evaluate", run, "-e", "style_probe").exit_code == 0


LAYERED = """
    import torch
    from torch import nn

    import simssl
    from simssl.api import Evaluator, Metric, Objective, Posterior, Result, Terms

    class Layered(Objective):
        '''Dropout, batch norm and two layers, to see how it is measured.'''
        views = ("random",)

        def __init__(self, params, context):
            super().__init__(params, context)
            self.encoder = context.encoder(context.latent_dim)
            self.norm, self.drop = nn.BatchNorm1d(context.latent_dim), nn.Dropout(0.5)

        def forward(self, x_BJCHW, index_B, generator):
            z = self.posterior(x_BJCHW[:, 0]).mean
            return Terms({"term": z.square().mean() + z.mean()})

        def posterior(self, x_BCHW):
            return Posterior(self.drop(self.norm(self.encoder(x_BCHW))))

        def layers(self, x_BCHW):
            return {"other": self.encoder(x_BCHW)[:, :2]}

    @simssl.hookimpl
    def simssl_objective():
        return Layered
"""

PROBE = """
    import torch
    import simssl
    from simssl.api import Evaluator, Metric, Result

    class Probe(Evaluator):
        '''Looks at everything that a subject shows.'''
        needs = frozenset({"test"})

        def run(self, subject):
            z, again = subject.features("test"), subject.posterior(subject.images("test", slice(None))).mean
            other = subject.features("test", "other")
            assert torch.allclose(z, again, atol=1e-5), "not in eval mode, or not finished"
            assert set(subject.images("test", slice(0, 50)).unique().tolist()) == {0.0, 1.0}
            assert set(subject.images("train", subject.selection()[1]).unique().tolist()) == {0.0, 1.0}
            assert other.shape == (len(z), 2) and z.shape[1] == 4
            noise = torch.rand((), generator=subject.generator).item()
            return Result({"noise": Metric(noise, "1")}, protocol={"split": "test"})

    @simssl.hookimpl
    def simssl_evaluator():
        return Probe
"""


def test_a_subject_is_frozen_finished_and_seeded(simssl: Command, small: Write, package: Callable[..., Path]) -> None:
    package("layered-dist", "layered_objective", LAYERED, objective="layered")
    package("probe-dist", "probe_evaluator", PROBE, evaluator="probe")
    noise = []
    for seed in (0, 1):
        file = small(
            objective={"name": "layered"},
            views={"crop": {}, "finish": {"threshold": 0.5}},
            evaluators=[{"name": "probe"}, {"name": "probe", "as": "again"}],
            seed=seed,
        )
        result = simssl("run", file, "--runs", f"runs{seed}")
        assert result.exit_code == 0, result.stderr
        (run,) = Path(f"runs{seed}/small").iterdir()
        noise += [metrics(run)[f"{label}/noise"]["value"] for label in ("probe", "again")]
    assert noise[0] == noise[1]
    assert noise[2] == noise[3]
    assert noise[0] != noise[2]


def test_a_layer_that_a_method_lacks_is_skipped(simssl: Command, small: Write, package: Callable[..., Path]) -> None:
    package("probe-dist", "probe_evaluator2", PROBE, evaluator="probe")
    result = simssl("run", small(objective={"name": "random"}, evaluators=[{"name": "probe"}]))
    assert result.exit_code == 0
    assert metrics()["probe"]["skipped"] == "random has no layer 'other'; it has representation"


def test_needing_a_variance() -> None:
    from simssl.api import Evaluator
    from simssl.evaluation.evaluate import why_skipped
    from simssl.testing.fixtures import TinyObjective, tiny_run

    class NeedsVariance(Evaluator):
        needs = frozenset({"variance"})

        def run(self, subject: Any) -> Any:
            raise NotImplementedError

    class Flat(TinyObjective):
        def posterior(self, x_BCHW: Any) -> Any:
            from simssl.api import Posterior

            return Posterior(super().posterior(x_BCHW).mean)

    assert why_skipped(NeedsVariance(None), tiny_run()) is None
    assert why_skipped(NeedsVariance(None), tiny_run(Flat)) == "tiny has no variance"


PARTLY = """
    import simssl
    from simssl.api import Evaluator, Metric, Result

    class Partly(Evaluator):
        class Params(simssl.Params):
            measured: bool = False
            "Whether the other metric is measured too."

        def run(self, subject):
            metrics = {"b": Metric(1.0, "1")} if self.params.measured else {}
            return Result(metrics, protocol={"split": "test"}, skipped={"a": "its weights are not here"})

    @simssl.hookimpl
    def simssl_evaluator():
        return Partly
"""


def test_single_metrics_may_be_skipped(simssl: Command, small: Write, package: Callable[..., Path]) -> None:
    """Even all of them: what else there is (a picture) is kept, and the run is done."""
    package("partly-dist", "partly_evaluator", PARTLY, evaluator="partly")
    evaluators = [{"name": "partly"}, {"name": "partly", "as": "more", "measured": True}]
    result = simssl("run", small(evaluators=evaluators))
    assert result.exit_code == 0, result.stderr
    assert set(metrics()) == {"partly/a", "more/a", "more/b"}
    assert metrics()["partly/a"]["skipped"] == "its weights are not here"
    assert "partly/a: skipped, its weights are not here" in result.stdout
    assert "is done already" in simssl("run", small(evaluators=evaluators)).stderr
    changed = [{"name": "partly", "measured": True}, evaluators[1]]
    assert simssl("run", small(evaluators=changed)).exit_code == 0
    assert set(metrics()) == {"partly/a", "partly/b", "more/a", "more/b"}


def test_a_new_decoder_comes_from_the_subjects_generator(tmp_path: Path) -> None:
    import torch

    from simssl.evaluation.subject import FrozenSubject
    from simssl.store.folder import RunFolder
    from simssl.testing.fixtures import tiny_run

    built, weights = tiny_run(), []
    for default_seed in (0, 1):
        torch.manual_seed(default_seed)
        state = torch.get_rng_state()
        subject = FrozenSubject(built, RunFolder(tmp_path), "decoder")
        decoders = [torch.nn.utils.parameters_to_vector(subject.new_decoder().parameters()) for _ in range(2)]
        assert torch.equal(state, torch.get_rng_state())
        assert not torch.equal(*decoders)
        weights += decoders
    assert torch.equal(weights[0], weights[2])
    assert torch.equal(weights[1], weights[3])


@pytest.mark.parametrize(
    ("objective", "family"), [("random", "untrained"), ("simclr", "discriminative"), ("simvae", "generative")]
)
def test_what_a_report_must_know_of_the_run_is_recorded(
    objective: str, family: str, simssl: Command, small: Write
) -> None:
    simssl("run", small(objective={"name": objective}, evaluators=[{"name": "knn", "as": "nearest"}]))
    (run,) = Path("runs/small").iterdir()
    document = json.loads((run / "metrics.json").read_text())
    assert document["family"] == family
    drawn = dict.fromkeys(("crop_centre_x", "crop_centre_y", "crop_height", "crop_width"), "style")
    assert document["roles"] == {**drawn, "class": "content"}
    assert document["about"].keys() == {"nearest"}
    assert "nearest training images" in document["about"]["nearest"]


def test_an_older_record_is_completed_by_evaluate(simssl: Command, small: Write) -> None:
    """Nothing is measured again for it."""
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    whole = (run / "metrics.json").read_text()
    older = {key: value for key, value in json.loads(whole).items() if key not in ("family", "roles", "about")}
    (run / "metrics.json").write_text(json.dumps(older))
    assert simssl("evaluate", run).exit_code == 0
    assert (run / "metrics.json").read_text() == whole


def test_what_is_said_of_an_earlier_evaluator_is_kept(simssl: Command, small: Write) -> None:
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    simssl("evaluate", run, "-e", "style_probe")
    simssl("evaluate", run)
    assert json.loads((run / "metrics.json").read_text())["about"].keys() == {"knn", "style_probe"}
