"""Runs of several families side by side are the runs of each; a bound that is not told is a base LR that is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from lrpilot.arrays import Floats
from lrpilot.configs import load_recipe
from lrpilot.envs.families import ExtraFamily, make_process
from lrpilot.envs.process import Decisions
from lrpilot.envs.tasks.composite import GuessedLR, MixedTask
from lrpilot.envs.tasks.nets.problems import NetProblems
from lrpilot.envs.tasks.nets.task import NetTask
from lrpilot.envs.tasks.nmf.problems import NMFProblems
from lrpilot.envs.tasks.nmf.task import NMFTask

NETS = NetProblems(alike=2, data=("iris",), architectures=("mlp",), samples=(32, 64), held_out=32)
NMF = NMFProblems(real=0.0)
ERROR = (0.1, 10.0)
METHODS = ("reference", "objective", "gradient_sq")


def guessed() -> GuessedLR:
    return GuessedLR(NMFTask(NMF, 6, replicas=2), ERROR, 2)


def mixed() -> MixedTask:
    return MixedTask([NetTask(NETS, 8, replicas=2), guessed()])


def test_base_lrs_are_the_first_bound_times_an_error_that_replicas_share() -> None:
    task, bounded = guessed(), NMFTask(NMF, 6, replicas=2)
    task.reset(np.random.default_rng(0))
    bounded.reset(np.random.default_rng(0))
    error = task.reference() / bounded.reference()
    np.testing.assert_allclose(error[::2], error[1::2], rtol=1e-9)
    assert len(np.unique(error.round(9))) == 3
    assert ((error >= ERROR[0]) & (error <= ERROR[1])).all()
    np.testing.assert_allclose(3 * task.hidden()[:, 0], np.log(error), rtol=1e-6)


def test_base_lrs_stay_and_nothing_keeps_runs_inside_the_bound() -> None:
    task, start = guessed(), np.zeros(6)
    task.reset(np.random.default_rng(0))
    start, base = task.objective(), task.reference()
    for _ in range(30):
        task.sgd_step(1e3 * base)
    np.testing.assert_array_equal(task.reference(), base)
    assert not (task.objective() < start).all()


def test_each_part_is_a_task_with_a_stream_of_its_own() -> None:
    whole, parts = mixed(), mixed().parts
    whole.reset(np.random.default_rng(3))
    for part, rng in zip(parts, np.random.default_rng(3).spawn(2), strict=True):
        part.reset(rng)
    for _ in range(3):
        apart = np.concatenate([part.sgd_step(0.1 * part.reference()) for part in parts])
        np.testing.assert_array_equal(whole.sgd_step(0.1 * whole.reference()), apart)
    for method in METHODS:
        np.testing.assert_array_equal(getattr(whole, method)(), np.concatenate([getattr(p, method)() for p in parts]))
    for method in ("weights", "gradients"):
        for mine, part in zip(np.split(getattr(whole, method)(), [8]), parts, strict=True):
            own = getattr(part, method)()
            np.testing.assert_array_equal(mine, np.pad(own, [(0, 0), (0, mine.shape[1] - own.shape[1])]))
            assert own.any()
    assert whole.weights().shape == whole.gradients().shape == (14, max(part.weights().shape[1] for part in parts))


def test_a_critic_sees_which_task_a_run_is_of() -> None:
    task = mixed()
    task.reset(np.random.default_rng(3))
    hidden = task.hidden()
    assert hidden.shape == (14, task.hidden_size) == (14, 2 + NetTask.hidden_size)
    np.testing.assert_array_equal(hidden[:, :2], [[1, 0]] * 8 + [[0, 1]] * 6)
    again = task.parts[1].hidden()  # the bound in it is that of a power iteration, which goes on
    np.testing.assert_allclose(hidden[8:, : again.shape[1]], again, atol=1e-2)


def test_some_runs_may_begin_anew() -> None:
    task = mixed()
    task.reset(np.random.default_rng(4))
    task.sgd_step(0.1 * task.reference())
    before, base, slots = task.objective(), task.reference(), np.arange(14) < 2
    task.reset(np.random.default_rng(5), slots)
    assert (task.objective()[:2] != before[:2]).all()
    np.testing.assert_array_equal(task.objective()[2:], before[2:])
    np.testing.assert_array_equal(task.reference()[2:], base[2:])


def test_other_families_have_their_share_of_the_runs() -> None:
    shares = [ExtraFamily("nmf", 0.25, 0.5, ("wine",)), ExtraFamily("linear", 0.01, 0.1, ("wine",))]
    process = make_process("universal", 24, NETS, Decisions(guard="off"), replicas=2, extra_families=shares)
    assert isinstance(process.task, MixedTask)
    assert [part.batch_size for part in process.task.parts] == [16, 6, 2]
    process.seed(0)
    observation = process.reset()
    assert np.isfinite(observation).all()
    with pytest.raises(ValueError, match="4 runs are too few for networks and 2 other families"):
        make_process("universal", 4, NETS, replicas=2, extra_families=shares)


def test_rewards_are_weighted_by_family() -> None:
    def rewards(reward_weight: float) -> Floats:
        shares = [ExtraFamily("nmf", 0.5, reward_weight, ("wine",))]
        process = make_process(
            "universal", 8, NETS, Decisions(guard="off", max_change=1.0, log_start=-3.0), extra_families=shares
        )
        process.seed(0)
        process.reset()
        return process.step(np.full(8, -0.5)).reward

    plain, half = rewards(1.0), rewards(0.5)
    np.testing.assert_array_equal(half[:4], plain[:4])
    np.testing.assert_allclose(half[4:], plain[4:] / 2)
    assert (plain[4:] != 0).all()


def test_networks_only_leaves_the_others_out() -> None:
    recipe = load_recipe("universal", ["beside={nmf: {share: 0.1, worth: 0.2, train: [wine], validation: [iris]}}"])
    assert recipe.networks_only.extra_families == {}  # type: ignore[attr-defined]
    assert recipe.networks_only.ppo == recipe.ppo  # type: ignore[attr-defined]
