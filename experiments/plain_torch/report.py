"""What the runs say: by how much each schedule's held-out loss is above that of linear tuned for the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.experiments.plain_torch.cell import Result
from lrpilot.experiments.plain_torch.network import Network, Role
from lrpilot.experiments.plain_torch.networks import networks_of
from lrpilot.experiments.plain_torch.plan import (
    HALF_GRID,
    HORIZONS,
    LINEAR,
    TUNING,
    UNTUNED,
    Results,
    at,
    cell,
    grid,
    policy_cells,
    tuned_octave,
    tuning,
    tuning_score,
    units,
)
from lrpilot.experiments.plain_torch.schedules import PACKAGES, TUNED
from lrpilot.experiments.plain_torch.store import Store
from lrpilot.experiments.plain_torch.work import PROCESSES, run_cells, run_units
from lrpilot.experiments.stats import interval
from lrpilot.files import commit
from lrpilot.policy import load_policy

USUAL_COSINE = "cosine at the usual LR"
ONCE = "linear tuned once for all"
TUNED_ROW = ", tuned"  # behind the name of a schedule


@dataclass(frozen=True)
class Row:
    """A schedule at a horizon; the numbers are means over seeds, in nats, above tuned linear.

    Attributes:
        name: For tables.
        networks: Those on which all its runs are there, N of them.
        excess: Of the last held-out loss, shape (base LRs, N): three base LRs for a policy, else one.
        best_excess: The same of the best checkpoint, above the best checkpoint of tuned linear.
        diverged: Runs that diverged.
        runs: All runs.
    """

    name: str
    networks: list[str]
    excess: list[list[float]]
    best_excess: list[list[float]]
    diverged: int
    runs: int

    def summary(self, cosine: dict[str, float]) -> dict[str, Any]:
        """Return the figures of a line of the table.

        Args:
            cosine: Excess of cosine at the usual LR, by network.

        Returns:
            Plain data: means with 95 % bootstrap intervals over networks, and the share of networks where the mean over
            base LRs is below `cosine`, None where that isn't known.
        """
        excess = np.array(self.excess)
        means = excess.mean(0)
        largest = int(means.argmax())
        known = [(mean, cosine[name]) for mean, name in zip(means, self.networks, strict=True) if name in cosine]
        return {
            "by_base_lr": [_mean(values) for values in excess],
            "all": _mean(means),
            "median": float(np.median(means)),
            "best_checkpoint": _mean(np.array(self.best_excess).mean(0)),
            "largest": [self.networks[largest], float(means[largest])],
            "spread": float(np.ptp(excess, axis=0).mean()) if len(excess) > 1 else None,
            "ahead_of_cosine": float(np.mean([mean < other for mean, other in known])) if known else None,
        }


def _mean(values: Floats) -> list[float]:
    """Mean, and the ends of its interval."""
    return [float(values.mean()), *interval(values)]


def report(
    policies: Sequence[str],
    role: Role = "validation",
    horizons: Sequence[int] = HORIZONS,
    seeds: int | None = None,
    hidden: bool = False,
    store: Store | None = None,
    processes: int = PROCESSES,
    most: int | None = None,
) -> dict[str, Any]:
    """Run policies where they have not been run, and compare them with the baselines that are known.

    Missing tuning runs of linear are run first, since policies begin from its base LR; other baselines are not.

    Args:
        policies: Names or paths.
        role: "validation", or "test" or "large" in the end.
        horizons: Steps; those that no network of the role is run for are left out.
        seeds: Of policies; by default as many as baselines have.
        hidden: Hide gradients from them.
        store: Where runs are kept; by default `runs/plain_torch`.
        processes: Workers.
        most: Networks, if not all of the role.

    Returns:
        Plain data: for each horizon the rows, with excess by network, and their figures.

    Raises:
        PolicyError: A policy can't be loaded.
    """
    store, networks = store or Store(), networks_of(role)[:most]
    horizons = [horizon for horizon in horizons if at(networks, horizon)]
    seeds = seeds or len(tuning(networks[0]).seeds)
    paths = {load_policy(path).fingerprint: str(path) for path in policies}
    run_units(store, [unit for unit in units(networks, tuple(horizons)) if unit.linear], processes)
    wanted = [
        one
        for horizon in horizons
        for fingerprint in paths
        for network in at(networks, horizon)
        for one in policy_cells(network, horizon, fingerprint, range(seeds), store.results, hidden)
    ]
    run_cells(store, wanted, paths, processes)
    by_horizon = {}
    for horizon in horizons:
        learned = [
            _learned_row(path, horizon, fingerprint, at(networks, horizon), range(seeds), hidden, store.results)
            for fingerprint, path in paths.items()
        ]
        by_horizon[str(horizon)] = _figures([*learned, *baseline_rows(networks, horizon, store.results)])
    return {"commit": commit(), "role": role, "hidden": hidden, "seeds": seeds, "horizons": by_horizon}


def _figures(rows: list[Row]) -> list[dict[str, Any]]:
    usual = next((row for row in rows if row.name == USUAL_COSINE), None)
    cosine = dict(zip(usual.networks, usual.excess[0], strict=True)) if usual else {}
    return [vars(row) | row.summary(cosine) for row in rows]


def _learned_row(
    name: str,
    horizon: int,
    fingerprint: str,
    networks: list[Network],
    seeds: Sequence[int],
    hidden: bool,
    results: Results,
) -> Row:
    by_network = {}
    for network in networks:
        found = [results[one] for one in policy_cells(network, horizon, fingerprint, seeds, results, hidden)]
        runs = len(seeds)
        by_network[network.name] = [found[start : start + runs] for start in range(0, len(found), runs)]
    return _row(name + ", gradients hidden" * hidden, by_network, _references(networks, horizon, results))


def _references(networks: list[Network], horizon: int, results: Results) -> dict[str, Result]:
    """Mean scores of tuned linear, by network; those where they are known."""
    found = {network.name: _tuned(network, horizon, LINEAR, results) for network in networks}
    return {name: _mean_result(runs) for name, runs in found.items() if runs}


def _mean_result(runs: Sequence[Result]) -> Result:
    return Result(*(float(np.mean(values)) for values in zip(*runs, strict=True)))


def _row(name: str, by_network: dict[str, list[list[Result]]], references: dict[str, Result]) -> Row:
    """A row from the runs of each network, by base LR and seed."""
    names = [network for network in by_network if network in references]
    excess, best_excess = (
        [
            [_gap(by_network[network][place], references[network], field) for network in names]
            for place in range(len(by_network[names[0]]))
        ]
        for field in ("last", "best")
    )
    runs = [run for network in names for seeds in by_network[network] for run in seeds]
    return Row(name, names, excess, best_excess, sum(run.diverged for run in runs), len(runs))


def _gap(runs: Sequence[Result], reference: Result, field: str) -> float:
    return round(getattr(_mean_result(runs), field) - getattr(reference, field), 6)


def _found(network: Network, horizon: int, schedule: str, octave: int, results: Results) -> list[Result]:
    """The runs of all seeds that count; none if one is missing."""
    cells = [cell(network, horizon, schedule, octave, seed) for seed in tuning(network).seeds]
    return [results[one] for one in cells] if all(one in results for one in cells) else []


def _tuned(network: Network, horizon: int, schedule: str, results: Results) -> list[Result]:
    octave = tuned_octave(network, horizon, schedule, results)
    return [] if octave is None else _found(network, horizon, schedule, octave, results)


def baseline_rows(networks: list[Network], horizon: int, results: Results) -> list[Row]:
    """Return the rows of all baselines at a horizon, each over the networks on which its runs are there.

    Args:
        networks: Those of a role.
        horizon: Steps.
        results: What is known.
    """
    at_horizon = at(networks, horizon)
    references = _references(at_horizon, horizon, results)
    once = once_for_all(horizon, results)
    runs: dict[str, dict[str, list[Result]]] = {
        **{f"{name} at the usual LR": _by_network(at_horizon, horizon, name, results, 0) for name in UNTUNED},
        **{name: _by_network(at_horizon, horizon, name, results, 0) for name in PACKAGES},
        **{f"{name}{TUNED_ROW}": _by_network(at_horizon, horizon, name, results, None) for name in TUNED},
    }
    if once is not None:
        runs[f"{ONCE}, usual LR × {2.0**once:g}"] = {
            network.name: [results[cell(network, horizon, LINEAR, once, seed)] for seed in TUNING.linear_tuning_seeds]
            for network in at_horizon
            if network.name in references and network.tuning is None
        }
    rows = {name: {network: [found] for network, found in each.items() if found} for name, each in runs.items()}
    return [_row(name, each, references) for name, each in rows.items() if each.keys() & references.keys()]


def _by_network(
    networks: list[Network], horizon: int, schedule: str, results: Results, octave: int | None
) -> dict[str, list[Result]]:
    """Runs at a base LR, or at the tuned one."""
    return {
        network.name: _tuned(network, horizon, schedule, results)
        if octave is None
        else _found(network, horizon, schedule, octave, results)
        for network in networks
    }


def once_for_all(horizon: int, results: Results) -> int | None:
    """Return the octave at which linear does best in the mean over all validation networks.

    Args:
        horizon: Steps.
        results: What is known; networks whose grid is not done are left out.

    Returns:
        log2 of base LR over the usual one, within the grid that all networks have; None if no grid is done.
    """
    networks = [n for n in at(networks_of("validation"), horizon) if grid(n, horizon, LINEAR, results).best is not None]
    if not networks:
        return None

    def mean(octave: int) -> float:
        return float(np.mean([tuning_score(network, horizon, LINEAR, octave, results) for network in networks]))

    return min(range(-HALF_GRID, HALF_GRID + 1), key=mean)


def sensitivity(networks: list[Network], horizon: int, results: Results) -> dict[str, tuple[int, float, float, float]]:
    """Return what it costs linear when its base LR is off by a factor of four.

    Args:
        networks: Which.
        horizon: Steps.
        results: What is known; networks whose grid is not done are left out.

    Returns:
        By network: the tuned octave, its score, and by how much the score is above that at a quarter and at four times
        the base LR, nats, on the seeds and samples that it was tuned on.
    """
    found = {}
    for network in networks:
        octave = tuned_octave(network, horizon, LINEAR, results)
        if octave is not None:
            low, best, high = (tuning_score(network, horizon, LINEAR, octave + off, results) for off in (-2, 0, 2))
            found[network.name] = (octave, best, low - best, high - best)
    return found
