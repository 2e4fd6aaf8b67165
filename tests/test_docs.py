"""The documentation against the code: hooks, examples, links, commands."""

from __future__ import annotations

import inspect
import itertools
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from hooks import example

from simssl import hookspecs
from simssl.experiment.config import load
from simssl.experiment.model import Core
from simssl.registry import KINDS, Registry
from simssl.testing import outcomes

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("kind", KINDS)
def test_plugin_page_shows_every_hook_as_it_is(kind: str) -> None:
    page = (ROOT / "docs" / "plugins.md").read_text()
    hook = getattr(hookspecs, f"simssl_{kind}")
    signature = f"{hook.__name__}{inspect.signature(hook)}".replace("'", "")
    assert f"Hook: `{signature}`, in the group `simssl.{kind}s`." in page
    assert example(kind) in page


@pytest.mark.parametrize("kind", KINDS)
def test_example_of_each_hook_is_a_plugin_that_passes(
    kind: str, package: Callable[..., Path], small: Callable[..., Path], simssl: Callable[..., Result]
) -> None:
    """It loads, passes its conformance checks, and runs in an experiment."""
    package("example-dist", f"example_{kind}", example(kind), **{kind: "example"})
    plugin = Registry().load(kind, "example")
    assert [outcome for outcome in outcomes(kind, plugin) if outcome.status not in ("ok", "skipped")] == []
    single = {kind: {"name": "example"}}
    listed = {f"{kind}s": [{"name": "example"}]}
    result = simssl("run", small(**(single if kind in ("dataset", "backbone", "objective") else listed)))
    assert result.exit_code == 0, result.stderr
    assert "detached" not in result.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_commands(page: Path, simssl: Callable[..., Result]) -> None:
    """Every `simssl ...` in a fenced block names a command and options that exist."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.S):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["simssl"] and len(words) > 1:
                options = {word.split("=")[0] for word in words[2:] if word.startswith("-")}
                text = simssl(words[1], "--help").stdout
                assert text, line
                assert all(re.search(rf"(^|[\s,]){re.escape(option)}\b", text) for option in options), line


def test_experiments_in_the_pages_are_right(tmp_path: Path) -> None:
    found = 0
    for page in PAGES:
        for block in re.findall(r"^```yaml\n(name: .*?)^```", page.read_text(), re.M | re.S):
            file = tmp_path / "experiment.yaml"
            file.write_text(block)
            assert load(file, Registry(builtins_only=True)), page.name
            found += 1
    assert found > 1


def test_the_example_of_a_trained_run_works(
    simssl: Callable[..., Result], small: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """With a run that is moved to where the page has it, and pictures of the names in it."""
    from PIL import Image

    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "experiment.md").read_text(), re.S)
    assert simssl("run", small(latent_dim=10)).exit_code == 0
    (place,) = re.findall(r'simssl\.load\("(.*?)"\)', code)
    Path(place).parent.mkdir(parents=True)
    next(Path("runs/small").iterdir()).rename(place)
    for name in re.findall(r'Image\.open\("(.*?)"\)', code):
        Image.new("RGB", (40, 30), "grey").save(name)
    exec(code, {})
    assert capsys.readouterr().out.splitlines() == [
        "torch.Size([2, 10]) torch.Size([2, 10])",
        "torch.Size([2, 1, 8, 8]) torch.Size([16, 1, 8, 8])",
    ]


EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("source", [*PAGES, *EXPERIMENTS], ids=lambda path: path.name)
def test_runs_that_are_suggested_can_be_pasted(source: Path) -> None:
    """Every `simssl run experiments/...`, in a page or in the head of an experiment, is right with its options."""
    for line in source.read_text().splitlines():
        if found := re.fullmatch(r"#? *(simssl run experiments/.*)", line):
            _, _, file, *options = shlex.split(found[1], comments=True)
            overrides = [value for option, value in itertools.pairwise(options) if option == "-s"]
            assert load(ROOT / file, Registry(builtins_only=True), overrides), line


def test_experiment_page_names_every_key() -> None:
    page = (ROOT / "docs" / "experiment.md").read_text()
    for key in (*Core.model_fields, "dataset", "backbone", "objective", "evaluators", "trackers", "grid"):
        assert f"`{key}`" in page, key


def test_readme_has_the_two_commands() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert "simssl run experiments/quickstart.yaml" in blocks[0]
    assert blocks[1].splitlines()[-1] == "tox"
