"""The five hooks, one for each kind of plugin. A plugin's module defines the one of its kind.

    @simssl.hookimpl
    def simssl_objective() -> type[Objective]:
        return MyObjective

An entry point in the group of the kind names the module; its own name is the plugin's name in experiment files:

    [project.entry-points."simssl.objectives"]
    my_objective = "my_package.my_objective"

`simssl new KIND NAME DEST` writes a package with a worked example, an experiment and tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from simssl.api import Backbone, Dataset, Evaluator, Objective, Tracker

hookspec = pluggy.HookspecMarker("simssl")
hookimpl = pluggy.HookimplMarker("simssl")


@hookspec(firstresult=True)
def simssl_dataset() -> type[Dataset]:  # type: ignore[empty-body]
    """Return the class of a data set, which loads images and their labels.

    Entry-point group: `simssl.datasets`. A worked example: `simssl new dataset NAME DEST`, explained in
    docs/writing-a-dataset.md.
    """


@hookspec(firstresult=True)
def simssl_backbone() -> type[Backbone]:  # type: ignore[empty-body]
    """Return the class of a backbone, which builds encoders and decoders.

    Entry-point group: `simssl.backbones`. A worked example: `simssl new backbone NAME DEST`, explained in
    docs/writing-a-backbone.md.
    """


@hookspec(firstresult=True)
def simssl_objective() -> type[Objective]:  # type: ignore[empty-body]
    """Return the class of an objective: a method, with its loss over views of images and its representation.

    Entry-point group: `simssl.objectives`. A worked example: `simssl new objective NAME DEST`; another one grows step
    by step in docs/writing-an-objective.md.
    """


@hookspec(firstresult=True)
def simssl_evaluator() -> type[Evaluator]:  # type: ignore[empty-body]
    """Return the class of an evaluator, which measures a frozen model.

    Entry-point group: `simssl.evaluators`. A worked example: `simssl new evaluator NAME DEST`, explained in
    docs/writing-an-evaluator.md.
    """


@hookspec(firstresult=True)
def simssl_tracker() -> type[Tracker]:  # type: ignore[empty-body]
    """Return the class of a tracker, which is told of a run while it goes on.

    Entry-point group: `simssl.trackers`. A worked example: `simssl new tracker NAME DEST`, explained in
    docs/writing-a-tracker.md.
    """
