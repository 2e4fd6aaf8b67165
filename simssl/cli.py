"""The commands. This module reports and decides nothing. Each command imports what it needs."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click

from simssl.blocks.messages import printable
from simssl.errors import Interrupted, SimsslError, ToldError, UserError, lack_of_memory, one_line
from simssl.launch.streams import hold_open
from simssl.launch.together import torchrun
from simssl.training.machine import device_name

if TYPE_CHECKING:
    from simssl.experiment.model import Experiment
    from simssl.launch.run import Outcome
    from simssl.launch.workspace import Workspace
    from simssl.plugin.registry import Registry
    from simssl.report.runs import Run


class _Commands(click.Group):
    """Ends every command in the exit code that its error calls for, and without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except ToldError as error:
            ctx.exit(error.exit_code)
        except (SimsslError, Interrupted) as error:
            _end(ctx, error, str(error), error.exit_code)
        except KeyboardInterrupt as error:
            _end(ctx, error, "interrupted", 130)
        except BaseException as error:  # a plugin's sys.exit(), too
            lack = lack_of_memory(error)
            if lack:
                _end(ctx, error, f"{lack}; end what else takes memory, or give another --device", 1)
            _end(ctx, error, f"unexpected {one_line(error)}; simssl --debug shows the traceback", 1)


def _end(ctx: click.Context, error: BaseException, message: str, code: int) -> NoReturn:
    torchrun.let_first_speak()
    if ctx.params.get("debug"):
        _traceback(error)
    _echo(message)
    ctx.exit(code)


def _traceback(error: BaseException) -> None:
    import traceback

    traceback.print_exception(error)


def _echo(text: str) -> None:
    """Tell the user a text, in which there may be words of a file's."""
    click.echo(printable(text), err=True)


def _print_versions(ctx: click.Context, option: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from simssl.plugin.versions import versions

        click.echo(versions())
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.option("--no-plugins", is_flag=True, help="Use the built-in plugins alone.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_versions,
    help="Show the versions of simssl, Python, torch and CUDA.",
)
@click.pass_context
def cli(ctx: click.Context, debug: bool, no_plugins: bool) -> None:
    """What does a self-supervised method keep of the data, and what does it throw away?

    An experiment file names a data set, a backbone, objectives and evaluators; `simssl run` trains each run of
    it, freezes it, measures content and style, and prints one table.
    """
    from simssl.plugin.registry import Registry

    if torchrun.processes() > 1 and ctx.invoked_subcommand != "run":
        raise UserError(f"`simssl {ctx.invoked_subcommand}` works in one process; start it without torchrun")
    ctx.obj = Registry(builtins_only=no_plugins)


class _Device(click.Choice[str]):
    """The name of a device. The command finds out whether there is such a device, as that takes torch."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if device_name.parsed(value) is None:
            message = self.get_invalid_choice_message(value, ctx)
            self.fail(message, param, ctx)
        return value


class _Jobs(click.IntRange):
    """A number of runs at a time; None for auto."""

    name = "number of runs, or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value in ("auto", None) else super().convert(value, param, ctx)


class _Path(click.Path):
    """A path, which may begin with ~: a shell leaves it in `--runs=~/x`, and in a variable's value."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        expanded = os.path.expanduser(value)
        return super().convert(expanded, param, ctx)


_experiment = click.argument("experiment", type=_Path(path_type=Path), metavar="EXPERIMENT.yaml")
_settings = click.option(
    "-s", "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set a dotted key to a YAML value; repeatable."
)
_seed = click.option("--seed", type=click.IntRange(min=0), help="Run this seed alone.")
_device = click.option(
    "--device", type=_Device(device_name.NAMES), default="auto", show_default=True, help="Where to compute."
)
_data = click.option(
    "--data",
    type=_Path(path_type=Path),
    envvar="SIMSSL_DATA",
    default=Path("data"),
    show_default="$SIMSSL_DATA, then data",
    help="Folder of the data sets.",
)
_runs = click.option(
    "--runs", type=_Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of the runs."
)


def _use_files(ctx: click.Context, option: click.Parameter, files: tuple[Path, ...]) -> None:
    if not ctx.resilient_parsing:
        ctx.obj.use(files)


_files = click.option(
    "--plugin",
    type=_Path(path_type=Path),
    multiple=True,
    metavar="FILE.py",
    expose_value=False,
    callback=_use_files,
    help="Use the plugin in this file, too, under the file's name; repeatable.",
)
_kind = click.argument("kind", type=click.Choice(["dataset", "backbone", "objective", "evaluator", "tracker"]))


@cli.command()
@_experiment
@_settings
@_seed
@_device
@_data
@_runs
@click.option("--fresh", is_flag=True, help="Move what is there aside, and start again.")
@click.option(
    "-j",
    "--jobs",
    type=_Jobs(min=1),
    default="auto",
    show_default=True,
    metavar="N",
    help="Work on N runs at a time, each in a process of its own; they share the cores, and take the CUDA devices in "
    "turns. auto: as many as fit on a CPU that one does not fill, else one.",
)
@click.option(
    "--only", type=click.IntRange(min=1), metavar="N", help="Work on the run of this number alone, counted from 1."
)
@click.option(
    "--cluster",
    type=click.Choice(["slurm", "local"]),
    help="Submit the runs, a task each, and return. slurm: one array job. local: this machine, all at once. Takes "
    "simssl[slurm].",
)
@click.option(
    "--cluster-option",
    "cluster_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of sbatch, such as partition=gpu, or time in minutes; repeatable.",
)
@click.option("--nodes", type=click.IntRange(min=1), help="Nodes of a run, on a cluster.")
@click.option("--gpus-per-run", "gpus", type=click.IntRange(min=1), help="GPUs of a run, a process each, on a cluster.")
@_files
@click.pass_context
def run(
    ctx: click.Context,
    experiment: Path,
    settings: tuple[str, ...],
    seed: int | None,
    device: str,
    data: Path,
    runs: Path,
    fresh: bool,
    jobs: int | None,
    only: int | None,
    cluster: Literal["slurm", "local"] | None,
    cluster_options: tuple[str, ...],
    nodes: int | None,
    gpus: int | None,
) -> None:
    """Train, freeze and measure every run of an experiment.

    The same command goes on with what is unfinished and skips what is done.
    """
    if cluster is None and (cluster_options or nodes or gpus):
        raise click.UsageError("--cluster-option, --nodes and --gpus-per-run take --cluster")
    if cluster is not None and jobs is not None:
        raise click.UsageError("--jobs is for this process; on a cluster each run is a task of its own")
    experiments = _load_experiments(ctx.obj, experiment, settings, seed)
    from simssl.launch.grid import require_number, run_all

    workspace = _workspace(ctx.obj, device, data, runs)
    if only is not None:
        require_number(only, len(experiments), experiment)
    if torchrun.processes() > 1:
        from simssl.launch.together.team import run_together

        if cluster is not None or (jobs is not None and jobs > 1):
            raise UserError("several processes train one run at a time; leave out --jobs and --cluster")
        outcomes = run_together(experiments, workspace, fresh, only)
        if torchrun.is_first():
            _summarise(ctx, outcomes)
        elif any(outcome.status == "failed" for outcome in outcomes):
            ctx.exit(1)
        return
    if cluster is not None:
        from simssl.launch.cluster.executor import Request
        from simssl.launch.cluster.submit import Command, submit

        command = Command(experiment, settings, seed, fresh, only, experiments)
        submit(command, workspace, Request(cluster, cluster_options, nodes or 1, gpus))
        return
    outcomes = run_all(experiments, workspace, fresh, jobs, only)
    _summarise(ctx, outcomes)


def _load_experiments(registry: Registry, path: Path, settings: tuple[str, ...], seed: int | None) -> list[Experiment]:
    from simssl.experiment.config import load_experiments

    return load_experiments(path, registry, settings, seed)


def _workspace(registry: Registry, device: str, data: Path, runs: Path) -> Workspace:
    from simssl.launch.workspace import Workspace

    def warn(text: str) -> None:
        _echo(f"  {text}")

    def nothing(text: str) -> None:
        """Tell nobody: process 0 does."""

    if not torchrun.is_first():
        return Workspace(registry, runs, data, device, say=nothing, warn=nothing)
    _echo_what_is_logged()
    return Workspace(registry, runs, data, device, say=_echo, warn=warn)


def _echo_what_is_logged() -> None:
    """Echo what is said to the logger "simssl", and Python's warnings, each sentence once, until the command ends."""
    import logging

    from simssl.launch.warned import log_warnings

    told: set[str] = set()

    class Echo(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if text not in told:
                told.add(text)
                _echo(text)

    logger = logging.getLogger("simssl")
    handler = Echo()
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    context = click.get_current_context()
    context.call_on_close(lambda: logger.removeHandler(handler))
    context.call_on_close(log_warnings())


def _summarise(ctx: click.Context, outcomes: list[Outcome]) -> None:
    """Print the table of the runs that are measured, then those that are not."""
    from simssl.report.runs import load_runs

    measured = [outcome.folder for outcome in outcomes if outcome.status in ("done", "already done")]
    runs, unreadable = load_runs(measured)
    _print_table(runs, unreadable)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed:
        if ctx.find_root().params["debug"]:
            _echo(outcome.traceback.rstrip())
        if len(outcomes) > 1:  # said already, but many lines above
            run = outcome.folder.name
            _echo(f"failed: {run}: {outcome.message}")
    if failed or unreadable:
        ctx.exit(1)


def _print_table(
    runs: list[Run],
    unreadable: list[str],
    format_: str = "table",
    against: str | None = None,
    relative_to: str | None = None,
    html: Path | None = None,
    chosen_by: str | None = None,
) -> None:
    """Print the runs' table, and write their page if one is asked for; then say what could not be read."""
    from simssl.report import formats
    from simssl.report.tabulate import tabulate

    if runs:
        table = tabulate(runs, against, relative_to, unreadable, chosen_by)
        if html:
            from simssl.report.page import write_page

            write_page(html, table)
        click.echo(formats.FORMATS[format_](table))
    for sentence in unreadable:
        _echo(sentence)


@cli.command()
@click.argument("paths", type=_Path(path_type=Path), nargs=-1, required=True, metavar="FILE|RUNS...")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@_settings
@_seed
@_runs
@_files
@click.pass_obj
def status(
    registry: Registry, paths: tuple[Path, ...], json_: bool, settings: tuple[str, ...], seed: int | None, runs: Path
) -> None:
    """Show what every run of an experiment is doing.

    FILE is an experiment file, whose runs are looked for in --runs, with the -s that they are run with. RUNS is a
    run's folder, or a folder around many.
    """
    from simssl.launch.status import status as statuses
    from simssl.launch.status import text as status_text

    seen = statuses.status(paths, runs, registry, settings, seed)
    text = status_text.as_json(seen) if json_ else status_text.as_text(seen, _width())
    click.echo(text if json_ else printable(text))


@cli.command()
@_experiment
@_settings
@_seed
@_files
@click.pass_context
def check(ctx: click.Context, experiment: Path, settings: tuple[str, ...], seed: int | None) -> None:
    """Check an experiment file; train nothing, and read no data.

    Everything that is wrong is said at once, with file, line and column.
    """
    experiments = _load_experiments(ctx.obj, experiment, settings, seed)
    count = len(experiments)
    runs = "1 run" if count == 1 else f"{count} runs"
    click.echo(printable(f"{experiment} is right: {runs}"))
    click.echo("the data were not looked at; `simssl run` does so before it trains")


@cli.command()
@click.argument("run_dir", type=_Path(path_type=Path))
@click.option(
    "-e",
    "--evaluator",
    "evaluators",
    multiple=True,
    help="A name, or '{name: knn, k: 20}'; repeatable. Without it: those of the run's file that are missing, or that "
    "skipped a part.",
)
@_device
@_data
@_files
@click.pass_context
def evaluate(ctx: click.Context, run_dir: Path, evaluators: tuple[str, ...], device: str, data: Path) -> None:
    """Measure a trained run with more evaluators."""
    from simssl.experiment.sections import choice
    from simssl.launch.evaluate import evaluate_run
    from simssl.report.runs import load_runs

    choices = [choice(text, "evaluator", ctx.obj) for text in evaluators]
    workspace = _workspace(ctx.obj, device, data, run_dir.parent)
    evaluate_run(run_dir, workspace, choices)
    runs, unreadable = load_runs([run_dir])
    _print_table(runs, unreadable)


@cli.command()
@click.argument("run_dir", type=_Path(path_type=Path))
@click.argument("images")
@click.option(
    "-o", "--output", "out", type=_Path(path_type=Path), metavar="OUT.npz", required=True, help="File to write."
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@_device
@_data
@_files
@click.pass_context
def encode(ctx: click.Context, run_dir: Path, images: str, out: Path, force: bool, device: str, data: Path) -> None:
    """Write a trained run's representations of images.

    IMAGES is a folder of image files, one such file, or a data set: a name, or '{name: celeba, crop: 140}'.
    """
    from simssl.evaluation import encode as encoding
    from simssl.evaluation.trained import load_trained
    from simssl.training.machine.spinning import considerate_threads

    encoding.check_output(out, force)
    workspace = _workspace(ctx.obj, device, data, run_dir.parent)
    model = load_trained(run_dir, device, ctx.obj)
    progress = workspace.progress()
    with considerate_threads(model.device):
        arrays = encoding.encode(model, images, ctx.obj, workspace.load_data, progress)
    sentence = encoding.write(out, arrays)
    click.echo(printable(sentence))


@cli.command("report")
@click.argument("paths", type=_Path(path_type=Path), nargs=-1, required=True, metavar="RUNS...")
@click.option("--against", metavar="CSV", help="Published values beside ours: a file, or a name such as bizeul2024.")
@click.option(
    "--relative-to",
    metavar="METHOD",
    help="Below each number its difference from this method, seed by seed. METHOD is an objective's name, or the name "
    "of a row of the table.",
)
@click.option(
    "--choose",
    "chosen_by",
    metavar="METRIC",
    help="Of several settings of a method show the one that is best by this metric on held-out images, such as "
    "knn/class/accuracy.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "md", "csv", "json", "latex"]),
    default="table",
    show_default=True,
    help="csv and json hold every number, the others each evaluator's summary.",
)
@click.option(
    "-e", "--evaluator", "evaluators", multiple=True, metavar="NAME", help="This evaluator alone (repeat for several)."
)
@click.option(
    "--html", type=_Path(path_type=Path), metavar="FILE", help="Write tables, plots and pictures as one page, too."
)
@click.option(
    "--archive",
    type=_Path(path_type=Path),
    metavar="FILE.csv",
    help="Write the runs that are measured, whole, into one file. This command takes it in the place of their folders.",
)
@_settings
@_runs
@_files
@click.pass_context
def report_(
    ctx: click.Context,
    paths: tuple[Path, ...],
    against: str | None,
    relative_to: str | None,
    chosen_by: str | None,
    format_: str,
    evaluators: tuple[str, ...],
    html: Path | None,
    archive: Path | None,
    settings: tuple[str, ...],
    runs: Path,
) -> None:
    """Print one table of many runs, and write a page about them.

    RUNS are their folders, or folders around them; an archive of runs (--archive); or an experiment file, whose runs
    are looked for in --runs, with the -s that they were run with. Those that are missing are shown as "not run".
    """
    from simssl.report.gather import gather
    from simssl.report.runs import only

    if html:
        from simssl.report.page import check_target

        check_target(html)
    if archive:
        from simssl.report.archive import check_archive_target, write_archive

        check_archive_target(archive)
    gathered, unreadable = gather(paths, runs, ctx.obj, settings)
    shown = only(gathered, evaluators) if evaluators else gathered
    _print_table(shown, unreadable, format_, against, relative_to, html, chosen_by)
    if html and shown:
        _echo(f"the page is {html}")
    if archive:
        count = write_archive(archive, gathered)
        _echo(f"{archive} has {count} of {len(gathered)} runs")
    if unreadable:
        ctx.exit(1)


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--check",
    "check_",
    is_flag=True,
    help="Import each: ok or BROKEN; with a NAME, run the conformance suite, too. Exit 1 if anything is wrong.",
)
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@_files
@click.pass_context
def plugins(ctx: click.Context, names: tuple[str, ...], check_: bool, json_: bool) -> None:
    """List the plugins that are installed, and who brings them.

    NAME is that of a plugin; or of a distribution, or a kind such as objective, for all of its plugins.
    """
    from simssl.plugin import listing

    rows = listing.rows(ctx.obj, check_, _conformance, names)
    text = listing.as_json(rows) if json_ else listing.as_text(rows, _width())
    click.echo(text)
    if check_ and any(row["status"] != "ok" for row in rows):
        ctx.exit(1)


def _width() -> int | None:
    """The columns of the terminal; None where the output goes elsewhere."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def _conformance(kind: str, plugin: type[Any]) -> list[Any]:
    """The outcomes of the conformance suite for a plugin. Importing the suite loads torch."""
    from simssl.testing import outcomes

    return outcomes(kind, plugin)


@cli.command()
@_kind
@click.argument("name")
@click.argument("pattern", required=False)
@_files
@click.pass_context
def show(ctx: click.Context, kind: str, name: str, pattern: str | None) -> None:
    """Show a plugin's parameters.

    Type, range, default, meaning and source of each. With a PATTERN, such as 'vit_tiny*', list the names that fit it,
    of a plugin that has many to choose from.
    """
    from simssl.experiment.describe import choices, describe

    registry = ctx.obj
    plugin = registry.find(kind, name)
    loaded = registry.load(kind, name)
    text = describe(plugin, loaded) if pattern is None else choices(plugin, loaded, pattern)
    click.echo(text)


@cli.command()
@_kind
@click.argument("name")
@click.argument("dest", type=_Path(path_type=Path))
@click.pass_obj
def new(registry: Registry, kind: str, name: str, dest: Path) -> None:
    """Write a package of your own with one plugin.

    It holds a worked example with a test and an experiment, and runs as it is. DEST is a folder that does not exist.
    """
    from simssl import scaffold

    package = scaffold.new(kind, name, dest, registry)
    click.echo(f"{dest} holds {package.distribution}, a package with the {kind} '{name}'; go on with")
    folder = shlex.quote(str(dest))
    click.echo(f"  cd {folder}")
    click.echo("  python -m pip install -e '.[test]'")
    click.echo("  simssl run experiment.yaml")
    click.echo("  pytest")


@cli.command()
@click.option(
    "-o", "--output", "out", type=_Path(path_type=Path), metavar="FILE.json", help="Write it to a file instead."
)
@_files
@click.pass_obj
def schema(registry: Registry, out: Path | None) -> None:
    """Print the JSON Schema of experiment files.

    Editors complete and check the files with it, installed plugins included.
    """
    import json

    from simssl.experiment import schema as schemas

    document, left_out = schemas.schema(registry)
    for sentence in left_out:
        _echo(f"left out: {sentence}")
    if not out:
        click.echo(json.dumps(document, indent=2))
        return
    schemas.write(out, document)
    first_line = schemas.MODELINE.format(out.name)
    click.echo(f"{out} is written; editors find it by the first line of an experiment file beside it:")
    click.echo(f"  {first_line}")


def main() -> None:
    """The `simssl` command."""
    hold_open()
    try:
        cli(prog_name="simssl")
    except SimsslError as error:  # before a command is chosen, as by --help to a full disk
        _echo(str(error))
        sys.exit(error.exit_code)
