"""What GreedyLR's robustness study measured: python -m lrpilot.experiments.reproduce.greedy_robustness [--quick].

Published: arXiv 2512.14527 and amazon-science/aws-research-science, GreedyLR/COMPREHENSIVE_RESULTS.md: 8,100 runs of
200 steps of Adam from the LR 0.01, in nine conditions of noise; mean final loss 1.53 with GreedyLR and 73.15 with
cosine (48×; on parabolas 505×), put down to robustness against noise. In that program (commit 707f1bc) the noise is a
number added to the loss: it has no gradient, and GreedyLR is told the loss without it. So it can reach no run at all.

Reproduced, on networks of the suite: (i) such noise, told to schedules that watch losses and to those that don't;
(ii) noise that does reach training, in the labels; (iii) the ratio of final losses of cosine and GreedyLR from one LR
for both, and with both tuned, there and on the study's parabolas. Its other landscapes and networks are left out, and
so are two additions to GreedyLR (spikes, threshold), which the paper's rule does not have.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrpilot.arrays import Floats
from lrpilot.configs.recipe import NetRecipe
from lrpilot.experiments.league.feedback import Greedy, Plateau
from lrpilot.experiments.league.learned import Learned, universal
from lrpilot.experiments.league.rival import AbstractRival
from lrpilot.experiments.league.runs import SOLVED
from lrpilot.experiments.league.schedules import FixedSchedule
from lrpilot.experiments.league.workload import Workload, load_suite
from lrpilot.experiments.reproduce.common import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    RED,
    Number,
    Options,
    Reproduction,
    main,
    panels,
)
from lrpilot.experiments.reproduce.noisy_losses import KINDS, NoisyLosses
from lrpilot.experiments.reproduce.parabola import DEFAULT_LR, cosine, descend, greedy

LEARNED = "universal"
COLOURS = {"cosine": GREEN, "GreedyLR": BLUE, "ReduceLROnPlateau": PURPLE, LEARNED: RED, "constant": GREY}
WRONG = (1 / 16, 1.0, 16.0)  # base LRs over the LR that seems right, for ratios without tuning
PUBLISHED = 48.0  # mean final loss, cosine over GreedyLR
RE_RUN = "13.2× as published, 1.07× with tuned baselines"
STUDY = "amazon-science/aws-research-science, GreedyLR/COMPREHENSIVE_RESULTS.md"


@dataclass(frozen=True)
class Sizes:
    """How much is run.

    Attributes:
        tasks: Names of the suite's tasks.
        problems: P of each; as many more are tuned on.
        base_lrs: Tried for cosine and GreedyLR.
        strengths: Of noise that schedules are told; the middle one is drawn.
        label_noise: Shares of random labels.
        parabolas: Of each condition number.
    """

    tasks: tuple[str, ...] = ("cnn-mnist-sgd", "byte_cnn-docstrings-sgd")
    problems: int = 8
    base_lrs: int = 13
    strengths: tuple[float, ...] = (0.1, 0.5, 1.0)  # the study's
    label_noise: tuple[float, ...] = (0.0, 0.2, 0.4)
    parabolas: int = 64


QUICK = Sizes(("cnn-mnist-sgd",), 3, 7, (0.5,), (0.0, 0.4), 16)


@dataclass(frozen=True)
class Ratio:
    """Median final loss with cosine over that with GreedyLR: from the same base LRs, and each tuned.

    Attributes:
        multiples: Base LRs, increasing, shape (C,).
        cosine: Median final losses over the first, logs, shape (C,).
        greedy: The same with GreedyLR.
        tuned: log of the ratio when each has its base LR chosen on other problems.
    """

    multiples: Floats
    cosine: Floats
    greedy: Floats
    tuned: float

    def at(self, multiple: float) -> float:
        """Return the ratio from the base LR that is nearest."""
        nearest = int(abs(np.log(self.multiples / multiple)).argmin())
        return float(np.exp(self.cosine[nearest] - self.greedy[nearest]))


def ratio(multiples: Floats, finals: Sequence[Floats], held_out: Sequence[Floats], problems: int) -> Ratio:
    """Compare cosine and GreedyLR, in this order.

    Args:
        multiples: Base LRs, shape (C,).
        finals: Final log losses of both, shapes (C, 2P).
        held_out: What base LRs are chosen by, on the first P problems, same shapes.
        problems: P; the others are scored.
    """
    scored = [np.median(final[:, problems:], 1) for final in finals]
    chosen = [int(loss[:, :problems].mean(1).argmin()) for loss in held_out]
    tuned = float(scored[0][chosen[0]] - scored[1][chosen[1]])
    return Ratio(multiples, scored[0], scored[1], tuned)


def observed_noise(workload: Workload, strength: float) -> dict[str, Floats]:
    """Run schedules on losses that are told with each kind of noise.

    Args:
        workload: The task.
        strength: Of the noise.

    Returns:
        By schedule, final log losses by kind of noise, in the order of `KINDS`, shape (9, 2P).
    """
    rivals: list[AbstractRival] = [
        *(FixedSchedule(name) for name in ("constant", "linear-to-zero", "cosine")),
        Plateau(),
        Greedy(),
        Learned(LEARNED, "", universal),
    ]
    noisy_losses = NoisyLosses(**vars(workload), strength=strength)
    ones = np.ones(len(KINDS))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(losses|10 losses) ")  # of zero and below, since that is how the noise is
        finals = {rival.info.name: rival.run(rival.shapes[0], ones, noisy_losses).final for rival in rivals}
    return finals | {"GreedyLR, told no noise": Greedy().run(Greedy().shapes[0], ones, workload).final}


def label_noise(workload: Workload, share: float) -> Workload:
    """Return a workload with so large a share of its training labels at random; TypeError if it has none."""
    recipe = workload.recipe
    if not isinstance(recipe, NetRecipe):
        raise TypeError(f"{workload.name} has no labels")
    problems = replace(recipe.problems, label_noise=(share, share))
    return replace(workload, recipe=recipe.model_copy(update={"problems": problems}))


def on_networks(workloads: Sequence[Workload], multiples: Floats) -> Ratio:
    """Compare cosine and GreedyLR on the problems of some tasks, tuned for all of them together."""
    played = [
        [rival.run(rival.shapes[0], multiples, workload) for workload in workloads]
        for rival in (FixedSchedule("cosine"), Greedy())
    ]
    problems = workloads[0].problems

    def sorted_by_role(values: Sequence[Floats]) -> Floats:
        parts = [value[:, :problems] for value in values] + [value[:, problems:] for value in values]
        return np.concatenate(parts, 1)

    finals = [sorted_by_role([runs.final for runs in rows]) for rows in played]
    held_out = [sorted_by_role([runs.curve[:, -1] for runs in rows]) for rows in played]
    return ratio(multiples, finals, held_out, problems * len(workloads))


def on_parabolas(problems: int, seed: int) -> Ratio:
    """Compare both on the study's parabolas, tuned on one half of them."""
    lrs = DEFAULT_LR * np.exp2(np.arange(-4, 6.1))
    finals = [np.concatenate([descend(rule, lrs, problems, 2 * seed + half) for half in (0, 1)], 1)
              for rule in (cosine, greedy)]  # fmt: skip
    return ratio(lrs, finals, finals, finals[0].shape[1] // 2)


def draw(options: Options) -> Reproduction:
    """Measure and draw."""
    sizes = QUICK if options.quick else Sizes()
    workloads = [load for load in load_suite(sizes.problems, options.seed) if load.name in sizes.tasks]
    observed = {
        strength: _concatenated([observed_noise(workload, strength) for workload in workloads])
        for strength in sizes.strengths
    }
    multiples = np.exp2(np.linspace(-6, 6, sizes.base_lrs))
    ratios = {"parabolas": on_parabolas(sizes.parabolas, options.seed)} | {
        _label(share): on_networks([label_noise(workload, share) for workload in workloads], multiples)
        for share in sizes.label_noise
    }
    data = {
        "sizes": vars(sizes),
        "kinds": list(KINDS),
        "observed": {f"strength {strength:g}": {name: final.mean(1) for name, final in finals.items()}
                 for strength, finals in observed.items()},
        "ratios": {name: vars(entry) for name, entry in ratios.items()},
    }  # fmt: skip
    return Reproduction(picture(observed, ratios), [*observed_numbers(observed), *ratio_numbers(ratios)], data)


def _concatenated(tasks: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([finals[name] for finals in tasks], 1) for name in tasks[0]}


def _label(share: float) -> str:
    return f"networks, {100 * share:.0f} % random labels"


def observed_numbers(observed: Mapping[float, Mapping[str, Floats]]) -> list[Number]:
    """Return distinct results over the kinds of noise, bit by bit, and what told noise costs."""
    numbers = []
    for name in next(iter(observed.values())):
        distinct = max(len(np.unique(finals[name], axis=0)) for finals in observed.values())
        claim = "nine conditions" if "told no noise" in name else ""
        numbers.append(Number(f"{name}: distinct results of {len(KINDS)}", float(distinct), None, None, claim, STUDY))
    for name in ("GreedyLR", "ReduceLROnPlateau", LEARNED):
        for strength, finals in observed.items():
            cost = (finals[name] - finals[name][0]).mean(1)[1:]
            mean, largest = float(cost.mean()), float(cost.max())
            numbers += [
                Number(f"{name}: told noise of strength {strength:g}, mean cost, nats", mean),
                Number(f"{name}: the same, worst kind ({[*KINDS][1 + int(cost.argmax())]}), nats", largest),
            ]
    return numbers


def ratio_numbers(ratios: Mapping[str, Ratio]) -> list[Number]:
    """Return the ratios from given LRs and tuned ones, beside the published ones."""
    numbers = []
    for name, entry in ratios.items():
        parabolas = name == "parabolas"
        for multiple in (DEFAULT_LR,) if parabolas else WRONG:
            where = "LR 0.01" if parabolas else f"LR × {multiple:g}"
            claim = "505× (means); 48× over all landscapes" if parabolas else ""
            title = f"{name}, {where}: median loss, cosine over GreedyLR"
            numbers.append(Number(title, entry.at(multiple), published=claim, source=STUDY if claim else ""))
        claim, source = (RE_RUN, "a re-run of the study, not in this tree") if parabolas else ("", "")
        title = f"{name}, both tuned: the same"
        numbers.append(Number(title, float(np.exp(entry.tuned)), published=claim, source=source))
    return numbers


def picture(observed: Mapping[float, Mapping[str, Floats]], ratios: Mapping[str, Ratio]) -> Figure:
    """Draw what told noise changes, final losses over base LRs, and the ratios."""
    figure, ((noise, parabolas), (networks, summary)) = panels(2, 2, 5.4, 3.9)
    strength = sorted(observed)[len(observed) // 2]
    _draw_noise(noise, observed[strength], strength)
    quiet, *_, noisy = (name for name in ratios if name != "parabolas")
    for axes, name, style in ((parabolas, "parabolas", "-"), (networks, quiet, "-"), (networks, noisy, "--")):
        entry = ratios[name]
        where = "" if axes is parabolas else name.removeprefix("networks")
        axes.plot(entry.multiples, entry.cosine, color=GREEN, linestyle=style, label=f"cosine{where}")
        axes.plot(entry.multiples, entry.greedy, color=BLUE, linestyle=style, label=f"GreedyLR{where}")
        axes.set(xscale="log", ylabel="median final loss, log over first")
        axes.legend(frameon=False, fontsize=8)
    parabolas.set(xlabel="base LR per step", title="(iii) The study's parabolas")
    parabolas.axvline(DEFAULT_LR, color="black", linestyle=":", linewidth=1)
    parabolas.text(DEFAULT_LR * 0.9, np.log(SOLVED), "the study's LR", fontsize=8, ha="right")
    networks.set(xlabel="base LR over the one that seems right", title="(ii, iii) Networks, noise in the labels")
    _draw_ratios(summary, ratios)
    return figure


def _draw_noise(axes: Axes, observed: Mapping[str, Floats], strength: float) -> None:
    for name, colour in COLOURS.items():
        change = (observed[name] - observed[name][0]).mean(1)
        open_loop = name in {"constant", "cosine"}
        axes.plot(change, range(len(KINDS)), "|" if open_loop else "o", color=colour, markersize=11 if open_loop else 6,
                  markeredgewidth=2 if open_loop else 1, alpha=0.85, label=name)  # fmt: skip
    axes.set_yticks(range(len(KINDS)), list(KINDS))
    axes.invert_yaxis()
    axes.grid(axis="y", alpha=0.25)
    axes.set(
        xlabel=f"change of the final loss, nats (strength {strength:g})", title="(i) Noise told to the schedule only"
    )
    axes.legend(frameon=False, fontsize=8)


def _draw_ratios(axes: Axes, ratios: Mapping[str, Ratio]) -> None:
    rows = [("published: means, all landscapes", PUBLISHED, GREY)]
    for name, entry in ratios.items():
        short = name.removeprefix("networks, ")
        chosen = {"LR 0.01": DEFAULT_LR} if name == "parabolas" else {f"LR × {wrong:g}": wrong for wrong in WRONG}
        rows += [(f"{short}, {label}", entry.at(multiple), RED) for label, multiple in chosen.items()]
        rows.append((f"{short}, both tuned", float(np.exp(entry.tuned)), "black"))
    for row, (_, value, colour) in enumerate(rows):
        axes.plot([1, value], [row, row], color=colour, linewidth=1)
        axes.plot(value, row, "o", color=colour, markersize=5)
        axes.annotate(f"{value:.3g}×", (value, row), xytext=(6, -3), textcoords="offset points", fontsize=8)
    axes.set_yticks(range(len(rows)), [label for label, *_ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1, linestyle=":")
    axes.set(
        xscale="log", xlabel="median final loss, cosine over GreedyLR", title="(iii) The advantage lies in the base LR"
    )
    axes.set_xlim(right=axes.get_xlim()[1] * 3)


if __name__ == "__main__":
    main("greedy_robustness", draw)
