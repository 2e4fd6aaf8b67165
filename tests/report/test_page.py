"""The page of a report: whole in itself, every number in it, and each section only where there is something for it."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json
import random
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from fake_runs import metric
from PIL import Image

from simssl.report.numbers import number
from simssl.report.page.labels import Rectangle, lay_out
from simssl.report.page.svg import SIZE, width_of

Command = Callable[..., Result]
Write = Callable[..., Path]
KNN, STYLE = "knn/class/accuracy", "style_probe/R2"
VOID = ("img", "meta", "wbr", "br", "hr", "link")
INLINE = ("a", "b", "code", "span", "strong", "wbr")


class Page(HTMLParser):
    """The page's text, headings, elements and links; AssertionError if a tag is not closed in its order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source, self.open = source, list[str]()
        self.texts, self.headings = list[str](), list[str]()
        self.elements = list[tuple[str, dict[str, str | None]]]()
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("" if tag in INLINE else " ")
        if re.fullmatch(r"h\d", tag):
            self.headings.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag
        self.texts.append("" if tag in INLINE else " ")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.open and re.fullmatch(r"h\d", self.open[-1]):
            self.headings[-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture
def page(simssl: Command) -> Callable[..., Page]:
    """Reports `runs` (or what is given) as a page, and reads it."""

    def build(*words: object) -> Page:
        result = simssl("report", *(words or ("runs",)), "--html", "page.html")
        assert result.exit_code == 0, result.stderr
        assert "the page is page.html" in result.stderr
        return Page(Path("page.html").read_text())

    return build


ROLES = {"class": "content", "crop": "style", "flip": "style", "hue": "style"}


@pytest.fixture
def methods(run: Write) -> None:
    """Two seeds of three methods, which measured content and style."""
    values = {"random": (0.5, 0.2), "simclr": (0.91, 0.05), "simvae": (0.92, 0.46)}
    family = {"random": "untrained", "simclr": "discriminative", "simvae": "generative"}
    for name, (content, style) in values.items():
        for seed in (0, 1):
            found = {KNN: metric(content + 0.011 * seed), STYLE: metric(style + 0.003 * seed)}
            found |= {f"style_probe/{target}/R2": metric(style * 1.3) for target in ("crop", "flip", "hue")}
            facts = {"family": family[name], "roles": ROLES, "about": {"knn": "A vote of `k` neighbours."}}
            run(f"{name}{seed}", found, facts=facts, objective={"name": name}, seed=seed)


# --- whole in itself -------------------------------------------------------------------------------------


def test_the_page_asks_no_network_for_anything(page: Callable[..., Page], methods: None, run: Write) -> None:
    Image.new("L", (4, 4)).save(_images(run("more", {KNN: metric(0.3)}, seed=7)) / "a.png")
    found = page("runs", "--against", "bizeul2024")
    for name in ("src", "href", "xlink:href", "action", "poster", "data", "srcset"):
        targets = [attributes[name] or "" for _, attributes in found.elements if name in attributes]
        assert all(target.startswith(("#", "data:")) for target in targets), targets
    assert not found.of("script", "link", "iframe", "object", "base")
    assert not re.search(r"url\(|@import|https?://", re.sub(r"data:[^\"]*", "", found.source))


def test_links_inside_lead_somewhere(page: Callable[..., Page], methods: None) -> None:
    found = page()
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"] or "" for link in found.of("a")]
    assert all(link[1:] in ids for link in links if link.startswith("#"))


def test_the_page_holds_every_number_of_the_csv(page: Callable[..., Page], methods: None, simssl: Command) -> None:
    found = page("runs", "--relative-to", "random")
    text = simssl("report", "runs", "--relative-to", "random", "--format", "csv").stdout
    for line in csv.DictReader(io.StringIO(text)):
        assert number(float(line["mean"]), line["unit"], float(line["stderr"])) in found.text
    (link,) = (a["href"] or "" for a in found.of("a") if "download" in a)
    assert base64.b64decode(link.partition("base64,")[2]).decode().strip() == text.strip()


def test_what_comes_from_files_is_escaped(page: Callable[..., Page], run: Write) -> None:
    evil = "<script>alert('1')</script>\"&amp;"
    entry = {**metric(0.5, note=evil, evaluator={"name": evil}), "unit": evil}
    metrics = {f"{evil}/class/{evil}": entry, "reconstruction": {"skipped": evil, "evaluator": {}}}
    facts = {"family": "generative", "roles": {evil: "style"}, "about": {evil: f"{evil}\n\n`{evil}`"}}
    for seed in (0, 1):
        settings = {"objective": {"name": evil, evil: evil}, "dataset": {"name": evil}, "seed": seed}
        path = run(f"a{seed}", metrics, facts=facts, name=evil, **settings)
        record = {"command": ["simssl", evil], "git": evil, "libraries": {evil: evil}, "plugins": {evil: evil}}
        (path / "environment.json").write_text(json.dumps({"training": {**record, "times": {"ended": evil}}}))
        Image.new("L", (4, 4)).save(_images(path) / "a-&lt;b&gt;.png")
    found = page()
    assert "<script" not in found.source
    assert "alert" not in " ".join(name for _, attributes in found.elements for name in attributes)
    assert found.text.count(evil) > 10


def test_the_same_runs_give_the_same_page(page: Callable[..., Page], methods: None) -> None:
    assert page().source == page().source


@pytest.mark.parametrize("file", ["there/page.html", "folder"])
def test_a_file_that_cannot_be_written_is_said(file: str, simssl: Command, methods: None) -> None:
    Path("there").write_text("no folder")
    Path("folder").mkdir()
    result = simssl("report", "runs", "--html", file)
    assert result.exit_code == 1
    assert f"{file} cannot be written (" in result.stderr
    assert "unexpected" not in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["folder", "runs", "there"]


def test_headings_skip_no_level_and_pictures_have_a_text(page: Callable[..., Page], methods: None, run: Write) -> None:
    Image.new("L", (4, 4)).save(_images(run("more", {KNN: metric(0.3)}, seed=7)) / "a.png")
    run("other", {KNN: metric(0.3)}, name="f")
    for found in (page("runs"), page("runs/more", "runs/simvae0")):
        levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h\d", tag)]
        assert levels[0] == 1
        assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))
        assert all(img["alt"] for img in found.of("img"))
        assert all(svg["role"] == "img" and svg["aria-label"] for svg in found.of("svg"))


# --- sections --------------------------------------------------------------------------------------------


def test_a_bare_run_has_a_bare_page(page: Callable[..., Page], run: Write) -> None:
    run("a", {KNN: metric(0.5)})
    found = page()
    assert found.headings == ["e", "What was compared", "Of each method", "Of all methods", "Results",
                              "How each number was made"]  # fmt: skip
    assert not found.of("svg", "img")


def test_which_method_loses_style_and_by_how_much_can_be_read(page: Callable[..., Page], methods: None) -> None:
    found = page()
    assert "of the trained methods, most is kept by simvae (0.462±0.002), least by simclr (0.052±0.002)" in found.text
    assert "a difference of \N{MINUS SIGN}0.410±0.000, seed by seed" in found.text
    assert "A vote of k neighbours." in found.text
    assert "Content against style" in found.headings
    titles = re.findall(r"<(?:circle|polygon)[^>]*><title>(\w+): [^<]*", found.source)
    assert titles == ["random", "simclr", "simvae"]


def test_a_difference_over_fewer_seeds_says_so(page: Callable[..., Page], methods: None, run: Write) -> None:
    run("more", {KNN: metric(0.99)}, facts={"roles": ROLES}, objective={"name": "simvae"}, seed=2)
    text = page().text
    assert "most is kept by simvae (0.947±0.022), least by simclr" in text
    assert "\N{MINUS SIGN}0.010±0.000, over the 2 seeds that both have." in text


def test_gains_are_over_the_untrained_method_or_the_one_that_is_named(page: Callable[..., Page], methods: None) -> None:
    assert "Gain per target, over random" in page().headings
    found = page("runs", "--relative-to", "simclr")
    assert "Gain per target, over simclr" in found.headings
    bars = re.findall(r"<rect[^>]*><title>(\w+): ([^<]*)", found.source)
    assert len(bars) == 6
    assert ("hue", "0.533") in bars


def test_an_evaluators_further_metrics_are_folded(page: Callable[..., Page], run: Write) -> None:
    for name in ("random", "simvae"):
        found = {f"probe/{target}/{m}": metric(0.5) for target in "abc" for m in ("accuracy", "auroc")}
        run(name, found, objective={"name": name})
    found = page()
    assert "probe: accuracy" in found.headings
    assert "probe: auroc" not in found.headings
    assert "<summary>probe: auroc</summary>" in found.source


def test_two_targets_are_too_few_for_a_plot(page: Callable[..., Page], run: Write) -> None:
    for name in ("random", "simvae"):
        run(name, {f"probe/{t}/accuracy": metric(0.5) for t in "ab"}, objective={"name": name})
    assert not [heading for heading in page().headings if heading.startswith("Gain")]


@pytest.mark.parametrize(
    ("settings", "plotted"),
    [
        ([{"J": 2}, {"J": 3}, {"J": 20}], True),
        ([{"J": 2}, {"J": 3}], False),
        ([{"J": 2, "sigma2": 0.1}, {"J": 3, "sigma2": 0.1}, {"J": 3, "sigma2": 0.2}], False),
        ([{"prior": "a"}, {"prior": "b"}, {"prior": "c"}], False),
    ],
)
def test_a_number_that_alone_differs_is_plotted(
    settings: list[dict[str, Any]], plotted: bool, page: Callable[..., Page], run: Write
) -> None:
    for i, parameters in enumerate(settings):
        run(f"r{i}", {KNN: metric(0.5 + i / 10)}, objective={"name": "simvae", **parameters})
    found = page()
    assert ("J of simvae" in found.headings) == plotted
    assert ("knn/class/accuracy by J: simvae J=2: 0.500; simvae J=3: 0.600" in found.source) == plotted


def test_pictures_are_those_of_the_first_seed_that_has_them(page: Callable[..., Page], run: Write) -> None:
    about = {"knn": "Draws originals over neighbours."}
    for seed in (2, 1, 0):
        path = run(f"s{seed}", {KNN: metric(0.5)}, seed=seed, facts={"about": about})
        if seed:
            Image.new("RGB", (8, 4), (seed, 0, 0)).save(_images(path) / "test.png")
            (path / "images" / "knn" / "broken.png").write_bytes(b"no picture")
    found = page()
    (img,) = found.of("img")
    content = base64.b64decode((img["src"] or "").partition("base64,")[2])
    assert Image.open(io.BytesIO(content)).getpixel((0, 0)) == (1, 0, 0)
    assert (img["alt"], img["width"], img["height"]) == ("knn/test of simvae, seed 1", "8", "4")
    assert "Draws originals over neighbours." in found.text
    assert "knn/broken" not in found.text


def _images(run: Path) -> Path:
    folder = run / "images" / "knn"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_training_curves_come_from_the_events(page: Callable[..., Page], run: Write) -> None:
    from torch.utils.tensorboard import SummaryWriter

    for seed in (0, 1):
        with SummaryWriter(str(run(f"s{seed}", {KNN: metric(0.5)}, seed=seed))) as writer:
            for step in range(0, 1000, 2):
                writer.add_scalar("training/loss", 1 / (step + 1), step)
                writer.add_scalar("training/kl", float("nan") if step == 100 else step, step)
            writer.add_scalar("knn/accuracy", 0.5, 1000)
    run("v", {KNN: metric(0.4)}, objective={"name": "vae"})
    found = page()
    assert "Training" in found.headings
    assert [svg["aria-label"] for svg in found.of("svg")] == [
        "loss of simvae over the steps, 2 runs",
        "kl of simvae over the steps, 2 runs",
    ]
    assert "No curves of vae: there are no TensorBoard events." in found.text
    assert max(path["d"].count("L") for path in found.of("path") if path["d"]) < 200
    assert found.source.count(">998 steps<") == 2, "the last step is not thinned out"


def test_a_loss_of_one_term_is_drawn_once(page: Callable[..., Page], run: Write) -> None:
    """Events of earlier versions, and of this one, which go on."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run("a", {KNN: metric(0.5)}))) as writer:
        for step in range(100):
            group = "training" if step < 50 else "_training"
            for name in ("nt_xent", "loss"):
                writer.add_scalar(f"{group}/{name}", 100 - step, step)
            writer.add_scalar(f"{group}/accuracy", step, step)
    labels = [svg["aria-label"] or "" for svg in page().of("svg")]
    assert [label.partition(" of ")[0] for label in labels] == ["loss = nt_xent", "accuracy"]
    assert page().source.count(">99 steps<") == 2


def test_a_resumed_training_is_no_news(
    page: Callable[..., Page], run: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its second file begins again at a step that the first has, and TensorBoard says so."""
    from torch.utils.tensorboard import SummaryWriter

    path = run("a", {KNN: metric(0.5)})
    for first, last, suffix in ((0, 60, ".0"), (40, 101, ".1")):
        with SummaryWriter(str(path), filename_suffix=suffix) as writer:
            for step in range(first, last):
                writer.add_scalar("training/loss", step, step)
    assert ">100 steps<" in page().source
    assert "rder" not in capfd.readouterr().err


def test_damaged_events_and_records_spoil_no_page(page: Callable[..., Page], run: Write) -> None:
    for i, record in enumerate(["{", "[]", '{"training": 3}', '{"training": {"command": "x", "times": [], "git": 1}}']):
        path = run(f"a{i}", {KNN: metric(0.5)}, seed=i)
        (path / "events.out.tfevents.1.host.1.0").write_bytes(b"no events at all" * 10)
        (path / "environment.json").write_text(record)
    assert "Training" not in page().headings


def test_the_command_that_made_the_runs_can_be_pasted(page: Callable[..., Page], run: Write) -> None:
    words = ["/some/where/bin/simssl", "run", "a file.yaml", "-s", "grid={}"]
    for seed in (0, 1):
        part = {"command": words, "threads": 2, "git": f"c{seed}", "times": {"seconds": 30.2}}
        later = {**part, "command": ["simssl", "evaluate", f"runs/s{seed}"]}
        path = run(f"s{seed}", {KNN: metric(0.5)}, seed=seed)
        (path / "environment.json").write_text(json.dumps({"training": part, "measurement": later}))
    found = page()
    assert "simssl run 'a file.yaml' -s 'grid={}' 2 runs" in found.text
    assert "Commands that measured them later simssl evaluate runs/s0 simssl evaluate runs/s1" in found.text
    assert "60 seconds of training in all" in found.text
    assert "Machine and versions of 2 trainings and 2 measurements" in found.text
    assert "git commit c0, c1" in found.text


def test_several_experiments_have_a_part_each(page: Callable[..., Page], run: Write) -> None:
    run("a", {KNN: metric(0.5)})
    run("b", {"rank/rank": metric(0.25)}, name="f")
    found = page()
    assert [heading for heading in found.headings if heading in ("e", "f")] == ["e", "f"]
    assert len(found.of("article")) == 2
    assert found.headings[0] == "e and f"
    first, second = found.source.split("</article>")[:2]
    assert "0.500" in first
    assert "0.250" not in first
    assert "0.250" in second


def test_missing_cells_are_marked_as_what_they_are(page: Callable[..., Page], run: Write) -> None:
    run("a", {KNN: metric(0.5), "reconstruction": {"skipped": "a reason", "evaluator": {}}}, objective={"name": "b"})
    run("c", {"reconstruction/mse": metric(0.25)})
    run("d", None, objective={"name": "d"})
    entries = re.findall(r"<td class=\"absent\"(?: title=\"([^\"]*)\")?><span>([^<]*)", page().source)
    dash = "\N{EN DASH}"
    assert sorted(entries) == [("", "unfinished"), ("", dash), ("", dash), ("a reason", "skipped")]


def test_a_strangers_evaluator_is_shown_without_being_known(
    page: Callable[..., Page], package: Callable[..., Path], simssl: Command, small: Write
) -> None:
    code = '''
        import simssl
        from simssl.api import Evaluator, Metric, Result

        class Sharpness(Evaluator):
            """How sharp an edge is, after nobody."""

            def run(self, subject):
                metrics = {f"{name}/edge": Metric(0.125 * i, "edges", "lower") for i, name in enumerate("abc", 1)}
                return Result(metrics, protocol={"how": "by looking"})

        @simssl.hookimpl
        def simssl_evaluator():
            return Sharpness
    '''
    package("sharpness-dist", "sharpness_plugin", code, evaluator="sharpness")
    grid = {"objective": [{"name": "random"}, {"name": "simclr"}]}
    file = small(evaluators=[{"name": "knn"}, {"name": "sharpness"}], grid=grid)
    assert simssl("run", file).exit_code == 0
    found = page(file)
    for text in ("sharpness/", "0.125", "0.375", "edges", "lower is better", "by looking", "How sharp an edge is"):
        assert text in found.text, text
    assert "sharpness: edge" in found.headings


def test_metrics_are_rows_where_they_are_more(page: Callable[..., Page], methods: None, run: Write) -> None:
    found = page()
    assert re.search(r"<thead><tr><th scope=\"col\">method</th><th scope=\"col\"><a [^>]*>knn", found.source)
    run("more", {f"probe/{name}": metric(0.5) for name in "abcd"}, objective={"name": "simvae"}, seed=1)
    assert '<thead><tr><th scope="col">metric</th><th scope="col">random' in page().source


def test_what_cannot_be_told_apart_is_said_to_be(page: Callable[..., Page], run: Write) -> None:
    for seed, values in enumerate([(0.5, 0.6), (0.6, 0.52)]):
        for name, value in zip(("vae", "simvae"), values, strict=True):
            run(f"{name}{seed}", {KNN: metric(value)}, facts={"roles": ROLES}, objective={"name": name}, seed=seed)
    assert "0.010±0.090, seed by seed, within its standard error: they cannot be told apart." in page().text
    assert "of one seed, so without a standard error" in page("runs/vae0", "runs/simvae0").text


def test_budgets_are_not_mixed(page: Callable[..., Page], run: Write) -> None:
    """A plot, a sentence and gains for each."""
    for views in (1000, 2000):
        for i, name in enumerate(("random", "vae", "simvae")):
            found = {KNN: metric(views * (i + 1) / 1e4), STYLE: metric(0.1 * i)}
            found |= {f"style_probe/{target}/R2": metric(0.1 * i * views / 1000) for target in ("crop", "flip", "hue")}
            facts = {"roles": ROLES, "family": "untrained" if name == "random" else "generative"}
            run(f"{name}{views}", found, facts=facts, objective={"name": name}, training={"views": views})
    found = page()
    assert found.text.count("Style (style_probe/R2) against content (knn/class/accuracy): views") == 2
    assert found.text.count("of the trained methods, most is kept by") == 2
    assert "views 2000: simvae (0.600), least by vae (0.400)" in found.text
    bars = re.findall(r"<rect[^>]*><title>hue: ([^<]*)", found.source)
    assert bars == ["0.2", "0.1", "0.4", "0.2"]
    for label in ("random", "vae", "simvae"):
        assert f"{label} views=1000" in found.text


def test_a_link_to_a_protocol_opens_it(page: Callable[..., Page], methods: None) -> None:
    """A browser opens the details around the element that is linked to, and not that element itself."""
    found = page()
    linked = [(link["href"] or "")[1:] for link in found.of("a") if (link["href"] or "").startswith("#made")]
    assert len(linked) > 1
    for id_ in linked:
        before = found.source[: found.source.index(f'id="{id_}"')]
        assert before.count("<details") > before.count("</details>")
    assert not [attributes for attributes in found.of("details") if "id" in attributes]


def test_what_an_evaluator_says_of_itself_is_said_once(page: Callable[..., Page], run: Write) -> None:
    metrics = {f"probe/{n}/{m}": metric(0.5, classes=n, selected={"epoch": n}) for n in (2, 7) for m in "ab"}
    run("a", metrics, facts={"about": {"probe": "A network that is fitted."}})
    text = page().text
    assert text.count("A network that is fitted.") == 1
    assert "classes 2 selected epoch 2" in text
    assert "classes 7 selected epoch 7" in text


def test_what_was_selected_is_told_by_its_range(page: Callable[..., Page], run: Write) -> None:
    for seed, k in enumerate((15, 3, 9)):
        run(f"s{seed}", {KNN: metric(0.5, selected={"k": k, "kind": "near"}, found={"error": k / 10})}, seed=seed)
    text = page().text
    assert "selected k 3 to 15, by run selected kind near found error 0.3 to 1.5, by run" in text


def test_a_sentence_of_several_budgets_begins_once(page: Callable[..., Page], run: Write) -> None:
    """And the methods are named without the budgets, which stand beside them."""
    for views in (1000, 2000, 3000):
        for i, name in enumerate(("vae", "simvae")):
            found = {KNN: metric(views * (i + 1) / 1e4)}
            run(f"{name}{views}", found, facts={"roles": ROLES}, objective={"name": name}, training={"views": views})
    text = page().text
    assert text.count("most is kept by") == 1
    for views, most, least in (("1000", "0.200", "0.100"), ("3000", "0.600", "0.300")):
        assert f"views {views}: simvae ({most}), least by vae ({least})" in text
    assert "Methods simvae, vae Seeds" in text


def test_a_box_that_scrolls_shows_it(page: Callable[..., Page], methods: None) -> None:
    """By a shadow that stays where it is, below ends that move with the content."""
    (rule,) = re.findall(r"\.box \{(.*?)\}", page().source, re.S)[:1]
    assert rule.count("local") == rule.count("scroll no-repeat") == 2
    assert "max-width: none; }" not in re.findall(r"\.box > img.*", page().source)


def test_what_is_folded_keeps_away_from_its_border(page: Callable[..., Page], methods: None) -> None:
    """A class gives no margin to the left and right: it would count for more than that of the folded box."""
    source = page().source
    assert re.search(r"details > :not\(summary\) \{ margin-left: \S+; margin-right: \S+; \}", source)
    for rule in (r"\.box", r"\.plots, \.wide, \.small"):
        (properties,) = re.findall(rule + r" \{([^}]*margin[^}]*)\}", source)
        assert not re.search(r"margin(-inline|-left|-right)?:", properties)


def test_a_remark_in_a_table_is_smaller_than_the_table_on_paper_too(page: Callable[..., Page], methods: None) -> None:
    (size,) = re.findall(r"td small, th small \{[^}]*font-size: ([\d.]+em)", page().source)
    assert float(size.removesuffix("em")) < 1


def test_names_break_on_paper_where_a_table_has_many_columns(page: Callable[..., Page], methods: None) -> None:
    """A browser makes the page a third smaller at most: twelve methods with unbroken names would be cut off."""
    on_paper = page().source.partition("@media print")[2]
    assert re.search(r"table:has\(thead th:nth-child\(9\)\) thead th \{[^}]*overflow-wrap: anywhere", on_paper)


# --- plots -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_names_in_a_plot_do_not_cover_each_other(seed: int) -> None:
    """Eight methods, most of them close together."""
    draw = random.Random(seed)
    points = [(250 + draw.gauss(0, 25), 120 + draw.gauss(0, 25)) for _ in range(8)]
    names = ["random", "simclr", "moco", "vicreg", "vae", "beta_vae", "cr_vae", "simvae J=10"]
    frame = Rectangle(46, 18, 400, 250)
    spots = lay_out(points, names, frame, [])
    overlaps = [a.overlap(b) for i, a in enumerate(spots) for b in spots[:i]]
    assert max(overlaps) == 0
    assert all(spot.outside(frame) < 1 for spot in spots)


def test_a_line_to_a_name_ends_where_the_name_begins(page: Callable[..., Page], run: Write) -> None:
    """Names that stand straight below their points: other points, or error bars, keep them from elsewhere."""
    values = {
        "beta_vae": ((0.972, 0.972, 0.972), (0.445, 0.464, 0.432)),
        "random": ((0.800, 0.744, 0.803), (0.240, 0.216, 0.204)),
        "simclr": ((0.947, 0.964, 0.958), (0.045, 0.046, 0.027)),
        "simvae": ((0.972, 0.981, 0.981), (0.449, 0.470, 0.404)),
    }
    for name, (contents, styles) in values.items():
        for seed, (content, style) in enumerate(zip(contents, styles, strict=True)):
            found = {KNN: metric(content), STYLE: metric(style, role="style")}
            run(f"{name}{seed}", found, facts={"roles": ROLES}, objective={"name": name}, seed=seed)
    pair = r'x2="([^"]*)" y2="([^"]*)" class="leader"></line><text x="([^"]*)" y="([^"]*)"[^>]*>([^<]*)<'
    ((x, y, left, baseline, name),) = re.findall(pair, page().source)
    assert float(left) < float(x) < float(left) + width_of(name)
    assert float(y) < float(baseline) - 0.75 * SIZE


def test_long_names_in_a_plot_differ(page: Callable[..., Page], run: Write) -> None:
    for variant in ("parametric", "memory_bank"):
        objective = {"name": "instance_discrimination", "variant": variant}
        found = {KNN: metric(0.5), STYLE: metric(0.2), "style_probe/crop/R2": metric(0.2)}
        run(variant, found, facts={"roles": ROLES}, objective=objective)
    names = re.findall(r'class="name[^>]*>([^<]*)</text>', page().source)
    assert [name[-9:] for name in names] == ["mory_bank", "arametric"]


def test_equal_numbers_can_be_plotted(page: Callable[..., Page], run: Write) -> None:
    """No scale has a range of zero."""
    for value in (0.0, 1.0):
        for name in ("simclr", "simvae", "vae"):
            found = {KNN: metric(value), STYLE: metric(value), "style_probe/crop/R2": metric(value)}
            run(f"{name}{value}", found, facts={"roles": ROLES}, objective={"name": name}, name=f"e{value}")
    assert len(page().of("svg")) == 2


def test_each_evaluators_first_style_metric_has_a_plot(run: Callable[..., Path], simssl: Callable[..., Result]) -> None:
    """Though another evaluator has more of them than there are plots."""
    many = {f"attributes/style_{i}": metric(0.1 * i, role="style") for i in range(6)}
    for i, method in enumerate(("simclr", "vae")):
        found = {KNN: metric(0.5 + 0.1 * i, role="content"), **many, "style_probe/R2": metric(0.2 * i, role="style")}
        run(method, found, objective={"name": method})
    assert simssl("report", "runs", "--html", "page.html").exit_code == 0
    page = Path("page.html").read_text()
    assert "Style (style_probe/R2) against content" in page
    assert "Style (attributes/style_2) against content" in page
    assert "Style (attributes/style_3) against content" not in page
