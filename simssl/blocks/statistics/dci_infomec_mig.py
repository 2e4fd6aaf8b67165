"""All scores of disentanglement of one representation, with how each is made."""

from __future__ import annotations

from simssl.blocks.statistics.disentanglement import (
    Codes,
    compactness,
    dci_completeness,
    dci_disentanglement,
    explicitness,
    fit_trees,
    is_active,
    modularity,
    mutual_information_gap,
    normalised_information,
)

ONE_LATENT = "one latent alone is active"

DCI = {
    "models": "50 gradient-boosted trees a number or class, half of the images each (scikit-learn)",
    "fitted on": "training images",
    "source": "Eastwood & Williams 2018, weighted as in disentanglement_lib",
}
INFOMEC = {
    "information": "10 nearest neighbours, numbers in 20 bins; no more than twice that of permuted targets is 0",
    "source": "Hsu et al. 2023",
}
EXPLICITNESS = {
    "models": "linear and logistic regression (scikit-learn)",
    "fitted on": "training images",
    "source": "Hsu et al. 2023",
}
MIG = {"information": "latents and numbers in 20 bins", "source": "Chen et al. 2018, as in disentanglement_lib"}
DISENTANGLEMENT = {
    "dci/disentanglement": DCI,
    "dci/completeness": DCI,
    "dci/informativeness": DCI,
    "infomec/modularity": INFOMEC,
    "infomec/explicitness": EXPLICITNESS,
    "infomec/compactness": INFOMEC,
    "mig/gap": MIG,
}
"""The scores of disentanglement, with how each is made."""


def disentanglement_scores(fit: Codes, score: Codes, seed: int) -> tuple[dict[str, float], dict[str, str]]:
    """The scores of `DISENTANGLEMENT` by their names, and the reasons why others are not there.

    Models are fitted on some images, and scored on others. The rest is of these others. There are two factors at least.
    """
    trees = fit_trees(fit, score, seed)
    values = {
        "dci/informativeness": float(trees.skill_K.mean()),
        "infomec/explicitness": explicitness(fit, score),
    }
    if score.z_ND.shape[1] < 2:
        others = [name for name in DISENTANGLEMENT if name not in values]
        return values, dict.fromkeys(others, ONE_LATENT)
    values["dci/disentanglement"] = dci_disentanglement(trees.importance_DK)
    values["dci/completeness"] = dci_completeness(trees.importance_DK)
    values["mig/gap"] = mutual_information_gap(score)
    active_D = is_active(score.z_ND)
    if active_D.sum() < 2:
        return values, dict.fromkeys(("infomec/modularity", "infomec/compactness"), ONE_LATENT)
    information_AK = normalised_information(score, seed)[active_D]
    values["infomec/modularity"] = modularity(information_AK)
    values["infomec/compactness"] = compactness(information_AK)
    return values, {}
