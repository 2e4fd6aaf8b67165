"""Small models that are fitted on frozen representations, and what they are fitted on.

Probes of a data set's targets, regressions, and the fixed splits on whose held-out part their settings are chosen.
"""

from simssl.blocks.probes.adam import adam_of_problems
from simssl.blocks.probes.class_probes import (
    FrozenModel,
    check_probe,
    probe_protocol,
    train_probes,
)
from simssl.blocks.probes.classifiers import ParallelClassifiers, train_classifiers
from simssl.blocks.probes.convergence import ChosenTraining, choose_training
from simssl.blocks.probes.graph import capture
from simssl.blocks.probes.parameters import LayerName, TargetNames
from simssl.blocks.probes.probe_params import ProbeParams
from simssl.blocks.probes.probed import LabelledFeatures, ProbedTarget
from simssl.blocks.probes.regression import ParallelMLP, Standardizer, r2, ridge, train_epochs
from simssl.blocks.probes.regressors import Pairs, Regressed, regress_by_mlp, regress_by_ridge
from simssl.blocks.probes.scores import accuracies, cross_entropies
from simssl.blocks.probes.splits import (
    held_out_split,
    require_images_to_fit_on,
    selection_split,
    stratified_permutation,
)
from simssl.blocks.probes.target_regressions import RegressedTarget, regress_targets
from simssl.blocks.probes.targets import (
    by_role,
    class_targets,
    has_classes,
    is_known,
    known_targets,
    labelled_targets,
    measurable_targets,
    require_modality,
)
from simssl.blocks.probes.threads import threads_for

__all__ = [  # noqa: RUF022
    # probes of targets: parameters, check, training, protocol
    "FrozenModel",
    "LabelledFeatures",
    "LayerName",
    "ProbeParams",
    "ProbedTarget",
    "TargetNames",
    "check_probe",
    "probe_protocol",
    "train_probes",
    # a training that has converged
    "ChosenTraining",
    "choose_training",
    # classifiers of several targets, as one network
    "ParallelClassifiers",
    "accuracies",
    "cross_entropies",
    "train_classifiers",
    # regressions
    "ParallelMLP",
    "Standardizer",
    "r2",
    "ridge",
    "train_epochs",
    # regressions whose settings are chosen on other images
    "Pairs",
    "Regressed",
    "regress_by_mlp",
    "regress_by_ridge",
    "RegressedTarget",
    "regress_targets",
    # images to fit on and to select on
    "held_out_split",
    "require_images_to_fit_on",
    "selection_split",
    "stratified_permutation",
    # targets of a data set
    "by_role",
    "class_targets",
    "has_classes",
    "is_known",
    "known_targets",
    "labelled_targets",
    "require_modality",
    "measurable_targets",
    # how small operations are run fast
    "adam_of_problems",
    "capture",
    "threads_for",
]
