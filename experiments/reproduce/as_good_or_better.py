"""How often GreedyLR is as good as schedules: python -m lrpilot.experiments.reproduce.as_good_or_better [--quick].

Published: as good as or better than the usual schedules in over 90 % of comparisons (PRML 2023), and in 86.7 % of 196
comparisons, clearly better in 24.5 % (arXiv 2512.14527): fine-tuning of language and vision models, with one base LR,
the default one, for all schedules.

Reproduced on the tasks of the suite, which are small networks and factorisations trained from random weights: GreedyLR
and the shipped policies against linear, constant and cosine, from one base LR for all (the LR that seems right, an
eighth of it, and eight times), and again with the base LR of every fixed schedule tuned. As good is at most 0.01 nats
worse, about 1 %; better is over 0.01 nats; the published tolerances may be others. The published data sets and models
are not used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrpilot.arrays import Floats
from lrpilot.experiments.league.document import Cell, League
from lrpilot.experiments.league.feedback import Greedy
from lrpilot.experiments.league.learned import Learned, of_family, universal
from lrpilot.experiments.league.rival import AbstractRival
from lrpilot.experiments.league.rivals import FAMILIES
from lrpilot.experiments.league.schedules import FixedSchedule
from lrpilot.experiments.league.statistics import win_tie_loss
from lrpilot.experiments.league.tune_and_score import QUICK, Budget, tune_and_score
from lrpilot.experiments.league.workload import Workload, load_suite
from lrpilot.experiments.reproduce.common import BLUE, GREY, RED, Number, Options, Reproduction, main, panels
from lrpilot.policy import list_policies

BASELINES = ("linear-to-zero", "constant", "cosine")
GREEDY, UNTUNED, TUNED = "GreedyLR", "universal", "universal, LR tuned"  # names in the league
FAMILY = "family's policy"
WRONG = {"⅛": 1 / 8, "1": 1.0, "8": 8.0}  # base LRs for all, over the LR that seems right, or the bound
SMALL = Budget(2, 5, 1)
PRML = "> 90 % as good or better, PRML 2023"
ARXIV = "86.7 % of 196 as good or better, 24.5 % clearly better, arXiv 2512.14527"


class Share(NamedTuple):
    """Shares of comparisons over tasks × problems × baselines.

    Attributes:
        better: By over 0.01 nats.
        as_good: Within 0.01 nats.
        worse: By over 0.01 nats.
    """

    better: float
    as_good: float
    worse: float


@dataclass(frozen=True)
class Setting:
    """Final log losses of a challenger and of each baseline, in one setting.

    Attributes:
        challenger: By task, shape (P,) each.
        baselines: By name of the baseline, the same.
    """

    challenger: Sequence[Floats]
    baselines: Mapping[str, Sequence[Floats]]

    def against(self, name: str) -> Share:
        """Compare with one baseline."""
        gains = [other - own for own, other in zip(self.challenger, self.baselines[name], strict=True)]
        return Share(*win_tie_loss(np.concatenate(gains)))

    def overall(self) -> Share:
        """Compare with all baselines; each counts alike."""
        return Share(*np.mean([self.against(name) for name in self.baselines], 0).tolist())


def untuned(
    workloads: Sequence[Workload], challenger: AbstractRival, played: Mapping[str, list[Floats]]
) -> list[Setting]:
    """Run a challenger with one base LR for all.

    Args:
        workloads: The tasks.
        challenger: Runs with its usual settings.
        played: Of each baseline and task, final losses from each of `WRONG`, shape (3, 2P).

    Returns:
        For each of `WRONG`, the setting; all 2P problems are scored, as nothing is tuned.
    """
    own = [at_wrong_lrs(challenger, workload) for workload in workloads]
    return [
        Setting(
            [final[index] for final in own], {name: [final[index] for final in rows] for name, rows in played.items()}
        )
        for index in range(len(WRONG))
    ]


def at_wrong_lrs(rival: AbstractRival, workload: Workload) -> Floats:
    """Return final log losses from each of `WRONG`, shape (3, 2P)."""
    return rival.run(rival.shapes[0], np.array([*WRONG.values()]), workload).final


def compute(workloads: Sequence[Workload], budget: Budget) -> list[Cell]:
    """Compute the cells of a league that tuned comparisons need."""
    rivals: list[AbstractRival] = [*(FixedSchedule(name) for name in BASELINES), Greedy()]
    rivals += [Learned(name, "", universal, tuned=name == TUNED) for name in (UNTUNED, TUNED)]
    return [tune_and_score(rival, workload, budget)[0] for workload in workloads for rival in rivals]


def tuned(cells: Sequence[Cell], challenger: str) -> Setting:
    """Return a challenger against tuned baselines.

    Args:
        cells: Of a league, or what `compute` returned.
        challenger: Name of a rival in it.
    """
    by_name = {(cell.rival, cell.task): cell.final for cell in cells}
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    return Setting(
        [by_name[challenger, task] for task in tasks],
        {name: [by_name[name, task] for task in tasks] for name in BASELINES},
    )


def at_the_right_lr(cells: Sequence[Cell], challenger: str) -> Setting:
    """As `tuned`, but the challenger's base LR is the one that seems right, not the tuned one."""
    cells = list(cells)
    own = [cell.sensitivity[abs(np.log(cell.multiples)).argmin()] for cell in cells if cell.rival == challenger]
    return Setting(own, tuned(cells, challenger).baselines)


def draw(options: Options) -> Reproduction:
    """Measure and draw."""
    suite = load_suite(2 if options.quick else 6, options.seed)
    suite = first_of_families(suite) if options.quick else suite
    played = {name: [at_wrong_lrs(FixedSchedule(name), load) for load in suite] for name in BASELINES}
    learned = {"universal": Learned(UNTUNED, "", universal)}
    learned |= {"policy of the family": Learned(FAMILY, "", of_family)} if set(FAMILIES) <= set(list_policies()) else {}
    table: dict[str, dict[str, Setting]] = {}
    for name, rival in ({GREEDY: Greedy()} | learned).items():
        settings = untuned(suite, rival, played)
        table[name] = {f"all from LR × {wrong}": entry for wrong, entry in zip(WRONG, settings, strict=True)}
    cells = cells_for(options)
    table[GREEDY] |= {
        "baselines tuned, GreedyLR not": at_the_right_lr(cells, GREEDY),
        "all tuned": tuned(cells, GREEDY),
    }
    table["universal"] |= {"baselines tuned, universal not": tuned(cells, UNTUNED), "all tuned": tuned(cells, TUNED)}
    shares = {
        name: {setting: as_data(entry) for setting, entry in settings.items()} for name, settings in table.items()
    }
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    data = {"tasks": [load.name for load in suite], "tuned on tasks": tasks, "shares": shares}
    return Reproduction(picture(table), _numbers(table), data)


def cells_for(options: Options) -> list[Cell]:
    """Return the cells of the league that is named; else what is needed, on the first task of each family."""
    if options.league:
        return list(League.load(options.league).cells)
    budget = SMALL if options.quick else QUICK
    return compute(first_of_families(load_suite(budget.problems, options.seed)), budget)


def as_data(setting: Setting) -> dict[str, dict[str, float]]:
    """Return the shares of a setting, overall and against each baseline."""
    each = {name: setting.against(name)._asdict() for name in setting.baselines}
    return {"overall": setting.overall()._asdict()} | each


def first_of_families(workloads: Sequence[Workload]) -> list[Workload]:
    """Return the first task of each family, in order."""
    return list({workload.family: workload for workload in reversed(workloads)}.values())[::-1]


def _numbers(table: Mapping[str, Mapping[str, Setting]]) -> list[Number]:
    numbers = []
    for name, settings in table.items():
        for setting, entry in settings.items():
            share, published = entry.overall(), name == GREEDY and setting == "all from LR × 1"
            comparisons = sum(len(own) for own in entry.challenger) * len(BASELINES)
            numbers += [
                Number(f"{name}, {setting}: as good or better, share of {comparisons}", share.better + share.as_good,
                       published=f"{ARXIV}; {PRML}" if published else "", source="arXiv 2512.14527; PRML 2023"),
                Number(f"{name}, {setting}: better", share.better),
            ]  # fmt: skip
    return numbers


def picture(table: Mapping[str, Mapping[str, Setting]]) -> Figure:
    """Draw the shares of each challenger in each setting, beside the published ones."""
    figure, (row,) = panels(1, len(table), 6.6, 4.8)
    for axes, (name, settings) in zip(row, table.items(), strict=True):
        bars = [("published (arXiv 2512.14527)", Share(0.245, 0.622, 0.133))] if name == GREEDY else []
        for setting, entry in settings.items():
            bars.append((f"{setting}: overall", entry.overall()))
            bars += [(f"vs {other}", entry.against(other)) for other in BASELINES]
        _draw_bars(axes, bars)
        axes.set(title=name, xlabel="share of task × problem, %", xlim=(0, 100))
    row[0].legend(frameon=False, fontsize=9, ncols=3, loc="upper left", bbox_to_anchor=(0, -0.12))
    return figure


def _draw_bars(axes: Axes, bars: Sequence[tuple[str, Share]]) -> None:
    for row, (label, share) in enumerate(bars):
        whole, left = not label.startswith("vs "), 0.0
        for part, value, colour in zip(
            ("better", "within 0.01 nats", "worse"), share, (BLUE, "#a9c4e4", RED), strict=True
        ):
            axes.barh(row, 100 * value, left=left, color=colour, height=0.8 if whole else 0.45,
                      alpha=1.0 if whole else 0.55, label=part if row == 0 else None)  # fmt: skip
            left += 100 * value
        if whole:
            axes.text(101, row, f"{100 * (share.better + share.as_good):.0f} %", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [label for label, _ in bars], fontsize=8)
    axes.invert_yaxis()
    axes.axvline(90, color=GREY, linestyle=":", linewidth=1)


if __name__ == "__main__":
    main("as_good_or_better", draw, takes_league=True)
