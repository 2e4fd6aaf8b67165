"""The drawn figures of the results: python docs/figures.py writes docs/images/results-*.svg from docs/results/*.csv.

A figure is an entry of FIGURES, and needs no run's folder. With names, those alone: python docs/figures.py NAME...
`simssl.report.figure` says what an entry may have.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from simssl.errors import SimsslError
from simssl.report.figure import BudgetFigure, BudgetPanel, DifferenceFigure, DifferencePanel, Line, draw

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"

PAPERS = {"objective.sigma2": 0.15, "latent_dim": 10, "backbone.hidden": [2000, 500, 500]}
"""The paper's sigma2, latents and networks."""

FIGURES: list[BudgetFigure | DifferenceFigure] = [
    DifferenceFigure(
        "h3-sigma2-x",
        "SimVAE minus VAE over the likelihood's variance",
        ["docs/results/h3-mnist.csv"],
        [
            DifferencePanel("MNIST, content", "knn/class/accuracy"),
            DifferencePanel("MNIST, style", "style_probe/R2"),
        ],
        ours="simvae",
        theirs="vae",
        over="objective.sigma2_x",
        lines=[
            Line("J 4", {**PAPERS, "objective.J": 4, "training.views": 240_000}),
            Line("J 10", {**PAPERS, "objective.J": 10}),
        ],
    ),
    BudgetFigure(
        "recipe-mnist",
        "Content and style while six million views are shown",
        ["docs/results/recipe-mnist.csv"],
        [
            BudgetPanel("MNIST, content", "knn/class/accuracy", published=["simvae"], from_views=5_000),
            BudgetPanel("MNIST, style", "style_probe/R2", from_views=5_000),
        ],
        note="D 10, SimVAE with J 4",
        names={"simvae": "SimVAE", "vae": "VAE"},
        against="bizeul2024",
    ),
]


def files(names: Sequence[str] = ()) -> Iterator[tuple[Path, str]]:
    """Each figure's file with its text, or those of the figures with these names."""
    for figure in FIGURES:
        if not names or figure.name in names:
            yield IMAGES / f"results-{figure.name}.svg", draw(figure, ROOT)


def main(names: Sequence[str]) -> int:
    unknown = set(names) - {figure.name for figure in FIGURES}
    if unknown:
        print(f"no figure is called '{min(unknown)}'", file=sys.stderr)
        return 2
    try:
        for path, text in files(names):
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))
    except SimsslError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
