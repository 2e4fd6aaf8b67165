"""Seven packages of strangers, installed at once: each that is wrong gets its one sentence, and all else goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import Result

import simssl as package_of_ours

Command = Callable[..., Result]
Write = Callable[..., Path]

GOOD = """
import simssl
from simssl.api import Objective, Posterior, Terms

class Short(Objective):
    '''A linear encoder with short outputs.'''
    views = ("random",)

    def __init__(self, params, context):
        super().__init__(params, context)
        self.encoder = context.encoder(context.latent_dim)

    def forward(self, x_BJCHW, index_B, generator):
        return Terms({"length": self.encoder(x_BJCHW[:, 0]).square().sum(1).mean()})

    def posterior(self, x_BCHW):
        return Posterior(self.encoder(x_BCHW).float())

@simssl.hookimpl
def simssl_objective():
    return Short
"""


class Stranger(NamedTuple):
    """A package's objective; `at` is the text of the line that the sentence names, if it is one of the package."""

    code: str
    sentence: str
    at: str | None = None
    name: str | None = None
    requires: tuple[str, ...] = ()


STRANGERS = {
    "good": Stranger(GOOD, ""),
    "import": Stranger(
        GOOD.replace("import simssl\n", "import simssl\nimport nowhere_at_all\n", 1),
        "importing it raised ModuleNotFoundError: No module named 'nowhere_at_all'",
        "import nowhere_at_all",
    ),
    "returns": Stranger(
        GOOD.replace("return Short", "return Short(None, None)").replace("super().__init__(params, context)", "return"),
        "simssl_objective() returned an object of type Short, not a subclass of Objective",
        "@simssl.hookimpl",
    ),
    "missing": Stranger(
        GOOD.replace("def posterior", "def posteriors"), "Short does not define posterior", "class Short"
    ),
    "shape": Stranger(
        GOOD.replace(".float())", "[:, 1:])"),
        "Short.posterior() returned as mean a float32 tensor (2, 3), not a tensor (2, 4), (B, latent_dim)",
        "def posterior",
    ),
    "taken": Stranger(GOOD, "objective 'simclr' is provided by simssl ", name="simclr"),
    "newer": Stranger(
        "raise SystemExit", f"it requires simssl>=9, and this is {package_of_ours.__version__}", requires=("simssl>=9",)
    ),
}
WRONG = [name for name, stranger in STRANGERS.items() if stranger.sentence]


@pytest.fixture
def strangers(package: Callable[..., Path], request: pytest.FixtureRequest) -> dict[str, Path]:
    """Installs all of them, with modules of their own for each test; the file of each one's module by its name."""
    files = {}
    for name, stranger in STRANGERS.items():
        module = f"strange_{name}_{abs(hash(request.node.name))}"
        site = package(f"{name}-dist", module, stranger.code, stranger.requires, objective=stranger.name or name)
        files[name] = site / f"{module}.py"
    return files


@pytest.mark.parametrize("name", WRONG)
def test_each_gets_its_one_sentence(name: str, strangers: dict[str, Path], simssl: Command, small: Write) -> None:
    stranger = STRANGERS[name]
    result = simssl("run", small(objective={"name": stranger.name or name}))
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert stranger.sentence in line
    if stranger.at:
        lines = [number for number, text in enumerate(stranger.code.splitlines(), 1) if stranger.at in text]
        assert f"({strangers[name]}:{lines[0]})" in line
    else:
        assert f"{name}-dist 1.0 ({strangers[name].stem})" in line
    assert not Path("runs").exists()


def test_the_list_tells_them_apart(strangers: dict[str, Path], simssl: Command) -> None:
    result = simssl("plugins", "--check", "--json")
    assert result.exit_code == 1
    rows = [row for row in json.loads(result.stdout) if row["distribution"].endswith("-dist")]
    status = {row["distribution"].removesuffix("-dist"): row["status"] for row in rows}
    broken = dict.fromkeys(("import", "returns", "missing", "newer"), "BROKEN")
    assert status == {"good": "ok", "shape": "ok", "taken": "CONFLICT", **broken}  # shapes are seen when it runs
    for row in rows:
        name = row["distribution"].removesuffix("-dist")
        if row["status"] == "BROKEN":
            assert STRANGERS[name].sentence in row["reason"]
            assert "\n" not in row["reason"]


def test_the_conformance_suite_finds_the_wrong_shape(strangers: dict[str, Path], simssl: Command) -> None:
    assert simssl("plugins", "--check", "good").exit_code == 0
    result = simssl("plugins", "--check", "shape-dist")
    assert result.exit_code == 1
    assert "FAILED    representation_is_deterministic" in result.stdout
    assert "Short.posterior() returned as mean a float32 tensor (2, 3), not a tensor (2, 4)" in result.stdout
    assert f"({strangers['shape']}:" in result.stdout


def test_all_other_commands_go_on(strangers: dict[str, Path], simssl: Command, small: Write) -> None:
    experiment = small(objective={"name": "good"}, evaluators=[{"name": "knn", "k": 3}])
    run = ("run", experiment, "-s", "training.views=300")
    for words in (
        ("--help",),
        ("--version",),
        ("plugins",),
        ("plugins", "--json"),
        ("plugins", "good-dist"),
        ("show", "objective", "good"),
        ("show", "objective", "simvae"),
        ("schema",),
        ("check", experiment),
        run,
        ("run", small("ours.yaml", name="ours", objective={"name": "random"})),
        ("report", "runs", "--format", "csv"),
        ("new", "objective", "another", "another"),
    ):
        result = simssl(*words)
        assert result.exit_code == 0, (words, result.output)
        assert "Traceback" not in result.output
    (folder,) = Path("runs/small").iterdir()
    again = "{name: knn, k: 5, as: again}"
    for words in (("evaluate", folder, "-e", again), ("encode", folder, "digits", "-o", "z.npz")):
        result = simssl(*words)
        assert result.exit_code == 0, (words, result.output)
    told = simssl("schema").stderr.splitlines()
    assert len(told) == len([name for name in WRONG if name != "shape"])


def test_a_module_that_was_renamed_is_told_with_its_entry_point(
    simssl: Callable[..., Result], package: Callable[..., Path]
) -> None:
    site = package("renamed-dist", "before_renaming", "", objective="renamed")
    (site / "before_renaming.py").rename(site / "after_renaming.py")
    result = simssl("show", "objective", "renamed")
    assert result.exit_code == 2
    assert (
        "there is no module 'before_renaming', which its entry point names; if it was renamed, correct" in result.stderr
    )
