"""What a policy gains over controls, which tell what it owes to its training and to what it sees of a run.

Every control is a policy file, so that it runs as the policy does: by `LearnedLR`, from the same base LRs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import yaml

from lrpilot.agents.evaluate import act_by, evaluate
from lrpilot.arrays import Floats
from lrpilot.card import FORMAT, PolicyError, control_entries
from lrpilot.configs import Recipe, load_recipe
from lrpilot.configs.load import renamed
from lrpilot.experiments.compare import untrained
from lrpilot.experiments.plain_torch.evidence import BASE_LRS, PLAIN_TORCH
from lrpilot.experiments.plain_torch.network import Network, Role
from lrpilot.experiments.plain_torch.networks import networks_of
from lrpilot.experiments.plain_torch.plan import OCTAVES_OFF, SEEDS, Results, policy_cells, units
from lrpilot.experiments.plain_torch.store import Store
from lrpilot.experiments.plain_torch.work import PROCESSES, run_cells, run_units
from lrpilot.experiments.state_blind import kept
from lrpilot.experiments.stats import paired
from lrpilot.files import commit, make_folder, write_text
from lrpilot.policy import SUFFIX, Float32, SchedulePolicy, load_policy

HORIZONS = (300, 3000)  # steps
POLICY, UNTRAINED, BLIND = "policy", "untrained", "state-blind"
ACTIONS, LRS = "mean replay, actions", "mean replay, LRs"
CONTROLS = {UNTRAINED: "untrained", BLIND: "", ACTIONS: "mean_actions_{}", LRS: "mean_lrs_{}"}  # files, by horizon
WRONG = [place for place, off in enumerate(OCTAVES_OFF) if off]  # of the base LRs
FOLDER = "controls"  # in that of the store
SHARP = 20.0  # change of the argument of a tanh between two starts, of which half is before it and half behind it
DIGITS = 6
Layers = tuple[tuple[Float32, Float32], ...]


class Scores(NamedTuple):
    """The runs of a policy at one horizon.

    Attributes:
        last: Log of the last held-out loss over that at the start, nats, mean over seeds, shape (base LRs, N).
        diverged: Runs that diverged, shape (base LRs,).
    """

    last: Floats
    diverged: Floats


def compare_controls(
    policy: str,
    role: Role = "validation",
    horizons: Sequence[int] = HORIZONS,
    seeds: int = len(SEEDS),
    store: Store | None = None,
    processes: int = PROCESSES,
) -> dict[str, Any]:
    """Run a policy and its controls where they have not been run, and compare them.

    Args:
        policy: Name or path; its card holds the recipe that it was trained by.
        role: "validation", or "test" in the end.
        horizons: Steps; at least as many as the policy has decisions.
        seeds: Of each run.
        store: Where runs are kept; by default `runs/plain_torch`. Controls that are made here are kept beside them.
        processes: Workers.

    Returns:
        Plain data: in which keys the recipe of the state-blind agent is another one, and for each horizon the networks
        and the rows, that of the policy first. `gains` of a control are those of the policy over it, in nats: over
        wrong base LRs, and for each base LR.

    Raises:
        PolicyError: The policy or the state-blind agent can't be loaded, its card has no recipe, or it needs a bound.
        ConfigError: The recipe is of an earlier version.
        OutOfRangeError: A horizon is shorter than the policy's decisions.
    """
    store, loaded = store or Store(), load_policy(policy)
    recipe = recipe_of(loaded)
    PLAIN_TORCH.check(loaded, recipe)
    folder = store.path.parent / FOLDER / loaded.fingerprint[:16]
    by_horizon = {}
    for horizon in horizons:
        paths = {POLICY: policy, **control_files(loaded, recipe, horizon, folder)}
        linear = [unit for unit in units(networks_of(role), (horizon,)) if unit.linear]
        run_units(store, linear, processes)
        by_horizon[str(horizon)] = _compare(paths, horizon, [unit.network for unit in linear], seeds, store, processes)
    return {
        "commit": commit(),
        "policy": policy,
        "role": role,
        "seeds": seeds,
        "state_blind_differs_in": differences(loaded, load_policy(kept(recipe.env))),
        "horizons": by_horizon,
    }


def recipe_of(policy: SchedulePolicy) -> Recipe:
    """Return the recipe that a policy was trained by.

    Raises:
        PolicyError: Its card has none.
        ConfigError: It is of an earlier version that can't be read any more.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        write_text(path, _recipe_text(policy))
        return load_recipe(path)


def _recipe_text(policy: SchedulePolicy) -> str:
    text = policy.card.get("trained", {}).get("recipe")
    if not isinstance(text, str):
        raise PolicyError(f"the card of policy {policy.card['name']!r} has no recipe: its controls can't be made")
    return text


def differences(policy: SchedulePolicy, blind: SchedulePolicy) -> list[str]:
    """Return the keys, beside signals and the comparison, in which the recipes of two policies are not the same.

    Raises:
        PolicyError: A card has no recipe.
    """
    first, second = (_flat(renamed(yaml.safe_load(_recipe_text(one)))) for one in (policy, blind))
    return sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))


def _flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    sections = {name: part if isinstance(part, dict) else {"": part} for name, part in recipe.items()}
    counted = {name: part for name, part in sections.items() if name not in {"signals", "comparison"}}
    return {f"{name}.{key}".strip("."): value for name, part in counted.items() for key, value in part.items()}


def control_files(policy: SchedulePolicy, recipe: Recipe, horizon: int, folder: Path) -> dict[str, str]:
    """Return the files of the controls of a policy by name; those that are not there yet are made.

    Args:
        policy: The policy.
        recipe: That it was trained by.
        horizon: Steps, of the replays.
        folder: Where the controls of this policy are kept. Remove it to have them made anew.
    """
    make_folder(folder)
    files = {name: folder / f"{file.format(horizon)}{SUFFIX}" for name, file in CONTROLS.items()}
    files[BLIND] = kept(recipe.env)
    if not files[UNTRAINED].is_file():
        untrained(recipe).save(files[UNTRAINED])
    if not (files[ACTIONS].is_file() and files[LRS].is_file()):
        for name, replay in mean_replays(policy, recipe, horizon).items():
            replay.save(files[name])
    return {name: str(path) for name, path in files.items()}


def mean_replays(policy: SchedulePolicy, recipe: Recipe, horizon: int) -> dict[str, SchedulePolicy]:
    """Return what a policy does on average, in two forms, as policies that see nothing but the time.

    Means are those over the validation problems of the recipe, by decision. For long runs they take minutes.

    Args:
        policy: What is replayed.
        recipe: The problems.
        horizon: Steps.

    Returns:
        Its mean actions, which act as its own do: its spike guard answers to losses as before. And its mean log
        multiples, without a spike guard: the LRs are fixed multiples of the base LR.
    """
    problems, own = recipe.validation.problems, policy.control
    runs = evaluate(act_by(policy), recipe.model_copy(update={"horizon": horizon}), "validation", problems)
    spans = pairwise(np.rint(runs.shares * horizon))  # steps from a decision to the next
    anchor = [np.log(own.multiple(1.0, np.arange(*span) / horizon)).mean() for span in spans]
    log_multiple = np.clip(runs.log_multiple.mean(1) - anchor, own.log_low, own.log_high)
    reach = max(abs(own.log_low), abs(own.log_high))  # symmetric limits: an action is a share of it
    fixed = replace(own, max_change=None, log_start=0.0, spike_guard=None, log_low=-reach, log_high=reach)
    trained = {"replay_of": policy.fingerprint, "horizon": horizon, "problems": problems, "commit": commit()}
    replays = {}
    for name, control, actions in ((ACTIONS, own, runs.action.mean(1)), (LRS, fixed, log_multiple / reach)):
        card = {"format": FORMAT, "name": name, "signals": ["progress"], **control_entries(control)}
        replays[name] = SchedulePolicy({**card, "trained": trained}, steps(runs.shares[:-1], actions))
    return replays


def steps(starts: Floats, values: Floats) -> Layers:
    """Return the layers of a network that is a piecewise constant function of its one input.

    Args:
        starts: Where each piece begins, increasing, shape (K,), K at least 2.
        values: Of the pieces, shape (K,).

    Example:
        >>> layers = steps(np.array([0.0, 0.1, 0.5]), np.array([0.25, -1.0, 1.0]))
        >>> card = {"name": "steps", "signals": ["progress"], "decisions": 3, "action": "multiple_of_base"}
        >>> policy = SchedulePolicy(card | {"log_low": -1.0, "log_high": 1.0}, layers)
        >>> [round(float(policy.action(np.full(99, share))), 6) for share in (0.0, 0.1, 0.5, 0.9)]
        [0.25, -1.0, 1.0, 1.0]
    """
    slope = SHARP / np.diff(starts)
    half = np.diff(values) / 2
    first = slope[:, None], -slope * (starts[:-1] + starts[1:]) / 2
    last = half[None], values[:1] + half.sum()
    return tuple((weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in (first, last))


def _compare(
    paths: dict[str, str], horizon: int, networks: list[Network], seeds: int, store: Store, processes: int
) -> dict[str, Any]:
    """Run a policy and its controls at a horizon; return the names of the networks, and the rows."""
    fingerprints = {name: load_policy(path).fingerprint for name, path in paths.items()}
    wanted = [
        one
        for network in networks
        for fingerprint in fingerprints.values()
        for one in policy_cells(network, horizon, fingerprint, range(seeds), store.results)
    ]
    run_cells(store, wanted, {fingerprints[name]: path for name, path in paths.items()}, processes)
    scores = {
        name: _scores(networks, horizon, fingerprint, range(seeds), store.results)
        for name, fingerprint in fingerprints.items()
    }
    rows = [
        {
            "name": name,
            "fingerprint": fingerprints[name],
            "scores": own.last.round(DIGITS).tolist(),
            "diverged": own.diverged.tolist(),
            "runs": len(networks) * seeds,
            "gains": {} if name == POLICY else gains(scores[POLICY].last, own.last),
        }
        for name, own in scores.items()
    ]
    return {"networks": [network.name for network in networks], "rows": rows}


def _scores(
    networks: Sequence[Network], horizon: int, fingerprint: str, seeds: Sequence[int], results: Results
) -> Scores:
    found = [
        [results[one] for one in policy_cells(network, horizon, fingerprint, seeds, results)] for network in networks
    ]
    shape = len(networks), len(OCTAVES_OFF), len(seeds)
    last = np.array([run.last for runs in found for run in runs]).reshape(shape)
    diverged = np.array([run.diverged for runs in found for run in runs]).reshape(shape)
    return Scores(last.mean(2).T, diverged.sum((0, 2)))


def gains(policy: Floats, control: Floats) -> dict[str, Any]:
    """Return the paired gains of a policy over a control: over wrong base LRs, and for each base LR.

    Args:
        policy: Mean scores, nats, shape (base LRs, N).
        control: Likewise.

    Returns:
        By name: the fields of `Paired`, positive where the policy is better, with intervals over networks.

    Example:
        >>> found = gains(np.array([[0.0], [3.0], [1.0]]), np.array([[1.0], [2.0], [4.0]]))
        >>> {name: gain["mean"] for name, gain in found.items()}
        {'wrong': 2.0, '÷ 16': 1.0, '× 1': -1.0, '× 16': 3.0}
    """
    parts = {"wrong": WRONG, **{name: [place] for place, name in enumerate(BASE_LRS)}}
    return {name: paired(policy[places], control[places]).as_dict() for name, places in parts.items()}
