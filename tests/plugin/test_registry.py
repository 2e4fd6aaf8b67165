"""Plugins of others: first-class where they are right, named and harmless where they are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from simssl.plugin import hooks, listing
from simssl.plugin.registry import KINDS, Registry

Command = Callable[..., Result]
Install = Callable[..., Path]

GOOD = """
    import simssl
    from simssl.api import Objective, Posterior

    class Pixels(Objective):
        '''The first pixels.'''
        trained = False

        def posterior(self, x_BCHW):
            return Posterior(x_BCHW.flatten(1)[:, : self.context.latent_dim])

    @simssl.hookimpl
    def simssl_objective():
        return Pixels
"""

BROKEN = {
    "import_error": (
        "import nowhere_at_all",
        "importing it raised ModuleNotFoundError: No module named 'nowhere_at_all'",
    ),
    "syntax_error": ("def", "importing it raised SyntaxError"),
    "exits": ("raise SystemExit(3)", "importing it raised SystemExit"),
    "skips": ("import pytest\npytest.skip('later', allow_module_level=True)", "importing it raised Skipped"),
    "no_hook": ("x = 1", "no hook found: define simssl_objective() under @simssl.hookimpl"),
    "unknown": ("def simssl_objectiv():\n    return int", "no hook found: define simssl_objective()"),
    "undecorated": (
        "def simssl_objective():\n    return int",
        "simssl_objective() is no hook: put @simssl.hookimpl above it",
    ),
    "another_kind": (
        "import simssl\n@simssl.hookimpl\ndef simssl_backbone():\n    return int",
        "no hook found: there is simssl_backbone(), whose entry point belongs in the group simssl.backbones",
    ),
    "misspelt": (
        "import simssl\n@simssl.hookimpl\ndef simssl_objectiv():\n    return int",
        "its hook does not fit: unknown hook 'simssl_objectiv'",
    ),
    "wrong_argument": (
        "import simssl\n@simssl.hookimpl\ndef simssl_objective(x):\n    return int",
        "its hook does not fit",
    ),
    "wrong_return": (
        "import simssl\n@simssl.hookimpl\ndef simssl_objective():\n    return int",
        "simssl_objective() returned <class 'int'>, not a subclass of Objective",
    ),
    "returns_nothing": (
        "import simssl\n@simssl.hookimpl\ndef simssl_objective():\n    pass",
        "simssl_objective() returned None, not a subclass of Objective",
    ),
    "raises": (
        "import simssl\n@simssl.hookimpl\ndef simssl_objective():\n    return 1 / 0",
        "simssl_objective() raised ZeroDivisionError",
    ),
    "missing_method": (
        "import simssl\nfrom simssl.api import Objective\nclass A(Objective): pass\n"
        "@simssl.hookimpl\ndef simssl_objective():\n    return A",
        "A does not define posterior and forward and views",
    ),
    "missing_views": (
        "import simssl\nfrom simssl.api import Objective\nclass A(Objective):\n"
        "    def posterior(self, x_BCHW): pass\n    def forward(self, *_): pass\n"
        "@simssl.hookimpl\ndef simssl_objective():\n    return A",
        "A does not define views",
    ),
    "wrong_params": (
        "import simssl\nfrom simssl.api import Tracker\nclass A(Tracker):\n    Params = dict\n"
        "@simssl.hookimpl\ndef simssl_tracker():\n    return A",
        "A.Params is <class 'dict'>, not a subclass of simssl.Params",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_named_and_disturbs_no_other(
    case: str, simssl: Command, small: Callable[..., Path], package: Install
) -> None:
    code, reason = BROKEN[case]
    kind = "tracker" if "tracker" in code else "objective"
    package("broken-dist", f"broken_{case}", code, **{kind: "broken"})
    checked = simssl("plugins", "--check")
    assert checked.exit_code == 1
    (line,) = (line for line in checked.stdout.splitlines() if "BROKEN" in line)
    assert line.split()[:4] == [kind, "broken", "broken-dist", "1.0"]
    assert f"broken-dist 1.0 (broken_{case}) is broken: {reason}" in checked.stdout
    assert f"/site-broken-dist/broken_{case}.py" in checked.stdout
    assert simssl("plugins").exit_code == 0
    assert simssl("run", small(objective={"name": "random"})).exit_code == 0
    section = {"objective": {"name": "broken"}} if kind == "objective" else {"trackers": [{"name": "broken"}]}
    used = simssl("check", small(**section))
    assert used.exit_code == 2
    assert reason in used.stderr
    assert "Traceback" not in used.stderr


def test_a_strangers_plugin_runs_like_ours(simssl: Command, small: Callable[..., Path], package: Install) -> None:
    package("good-dist", "good_objective", GOOD, objective="pixels")
    listed = json.loads(simssl("plugins", "--json").stdout)
    assert {"kind": "objective", "name": "pixels", "distribution": "good-dist"}.items() <= next(
        row for row in listed if row["name"] == "pixels"
    ).items()
    result = simssl("run", small(objective={"name": "pixels"}))
    assert result.exit_code == 0, result.stderr
    hidden = simssl("--no-plugins", "check", small(objective={"name": "pixels"}))
    assert hidden.exit_code == 2
    assert "--no-plugins hides" in hidden.stderr


def test_a_kind_lists_its_plugins(simssl: Command) -> None:
    listed = json.loads(simssl("plugins", "objective", "--json").stdout)
    assert {row["kind"] for row in listed} == {"objective"}
    assert {"simclr", "simvae"} <= {row["name"] for row in listed}
    assert "did you mean 'tracker'?" in simssl("plugins", "trackers").stderr


def test_columns_that_say_nothing_are_not_there(simssl: Command) -> None:
    head, *_ = simssl("plugins").stdout.splitlines()
    assert head.split() == ["kind", "name", "distribution", "version", "module"]
    checked, *_ = simssl("plugins", "--check").stdout.splitlines()
    assert checked.split() == ["kind", "name", "distribution", "version", "module", "status"]


def test_the_list_fits_the_terminal() -> None:
    listed = listing.rows(Registry(builtins_only=True), check=False, suite=lambda *_: ())
    narrow = listing.as_text(listed, width=80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert "instance_discrimination" in narrow
    assert narrow.endswith("the modules do not fit here; --json has them")
    assert listing.as_text(listed, width=160) == listing.as_text(listed)


def test_a_name_provided_twice_is_a_conflict_when_used(
    simssl: Command, small: Callable[..., Path], package: Install
) -> None:
    package("good-dist", "good_objective", GOOD, objective="simvae")
    listed = simssl("plugins")
    assert listed.exit_code == 0
    assert sum("CONFLICT" in line for line in listed.stdout.splitlines()) == 2
    assert simssl("run", small(objective={"name": "vae"})).exit_code == 0
    used = simssl("check", small(objective={"name": "simvae"}))
    assert used.exit_code == 2
    assert "good-dist 1.0 (good_objective)" in used.stderr
    assert "simssl 0" in used.stderr


def test_an_unknown_name_is_suggested_or_explained(simssl: Command, small: Callable[..., Path]) -> None:
    assert "did you mean 'simclr'?" in simssl("check", small(objective={"name": "simclear"})).stderr
    far = simssl("check", small(objective={"name": "slow_features"})).stderr
    installed = sorted(Registry().names("objective"))
    assert f"installed are {', '.join(installed)}" in far
    assert "--plugin FILE.py" in far
    assert "pip install -e ." in far


def test_listing_imports_no_plugin(package: Install) -> None:
    import sys

    package("good-dist", "never_imported", GOOD, objective="pixels")
    assert "pixels" in Registry().names("objective")
    assert "never_imported" not in sys.modules


def test_every_kind_has_a_hook_and_a_class() -> None:
    from simssl import api

    for kind, name in KINDS.items():
        assert hasattr(hooks, f"simssl_{kind}")
        assert isinstance(getattr(api, name), type)


@pytest.mark.parametrize("content", [b"[simssl.objectives]\nno equals sign\n", b"[simssl.objectives]\n\xff\xfe = x\n"])
def test_damaged_metadata_is_named_and_disturbs_no_other(
    content: bytes, simssl: Command, small: Callable[..., Path], package: Install
) -> None:
    site = package("damaged-dist", "damaged_module", GOOD, objective="damaged")
    (site / "damaged_dist-1.0.dist-info" / "entry_points.txt").write_bytes(content)
    assert simssl("run", small(objective={"name": "random"})).exit_code == 0
    checked = simssl("plugins", "--check")
    assert checked.exit_code == 1
    assert "damaged_dist-1.0.dist-info" in checked.stdout
    assert "BROKEN" in checked.stdout


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ('("augmented", "augmented")', "must be a tuple of 'random', 'plain' and 'small'"),
        (
            "property(lambda self: ('random',) * self.params.J)",
            "is a property; define the class method views_for(params)",
        ),
        (
            "()\n        views_for = classmethod(lambda cls, params: ('random',) * params.J)",
            "cannot tell its views from its parameters",
        ),
        ("()\n        def views_for(self, params): return ('random',)", "cannot tell its views from its parameters"),
    ],
)
def test_wrong_views_are_told_by_check(
    views: str, message: str, simssl: Command, small: Callable[..., Path], package: Install
) -> None:
    code = GOOD.replace("trained = False", f"views = {views}\n        def forward(self, *_): pass")
    site = package("views-dist", f"views_{len(views)}", code, objective="wrong_views")
    result = simssl("check", small(objective={"name": "wrong_views"}))
    assert result.exit_code == 2
    assert message in result.stderr
    assert f"({site}/views_{len(views)}.py:" in result.stderr
    assert "api.py" not in result.stderr


def test_an_objective_that_cannot_be_built_is_told_before_anything_is_trained(
    simssl: Command, small: Callable[..., Path], package: Install
) -> None:
    code = GOOD.replace("trained = False", "trained = False\n        def __init__(self, params, context): 1 / 0")
    package("build-dist", "cannot_be_built", code, objective="unbuildable")
    result = simssl("run", small(grid={"objective": [{"name": "random"}, {"name": "unbuildable"}]}))
    assert result.exit_code == 2
    assert "objective 'unbuildable' cannot be built: ZeroDivisionError" in result.stderr
    assert not Path("runs").exists()


def test_an_evaluator_that_cannot_be_built_is_named(
    simssl: Command, small: Callable[..., Path], package: Install
) -> None:
    code = """
        import simssl
        from simssl.api import Evaluator

        class Unbuildable(Evaluator):
            def __init__(self, params):
                raise KeyError("boom\\nand more lines")

            def run(self, subject):
                pass

        @simssl.hookimpl
        def simssl_evaluator():
            return Unbuildable
    """
    package("evaluator-dist", "evaluator_cannot_be_built", code, evaluator="unbuildable")
    result = simssl("run", small(evaluators=[{"name": "unbuildable"}]))
    assert result.exit_code == 2
    assert "evaluator 'unbuildable' cannot be built: KeyError" in result.stderr
