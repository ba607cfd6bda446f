"""Batches of runs side by side are the single ones, however many cores compute them."""

from __future__ import annotations

import numpy as np
import pytest

from lrpilot.envs.families import make_pool, make_process
from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.side_by_side import ProcessPool
from lrpilot.envs.tasks.nets.problems import NetProblems
from lrpilot.envs.workers import Worker

PROBLEMS = NetProblems(alike=2, data=("iris", "wine"), architectures=("mlp",), samples=(32, 90), held_out=32)
DECISIONS = Decisions(6, horizons=(12, 96), first_interval=2, judged_every=4, guard="off", action="multiple_of_base")


def pool(cores: int) -> ProcessPool:
    made = make_pool(4, cores, 16, False, "cnn", PROBLEMS, DECISIONS, ("iris",), 2)
    assert isinstance(made, ProcessPool)
    made.seed(3)
    return made


@pytest.fixture(scope="module")
def on_two() -> ProcessPool:
    return pool(2)


def test_batches_are_single_processes_each_with_a_seed_and_a_part_of_the_horizons(on_two: ProcessPool) -> None:
    on_two.seed(3)
    observation = on_two.reset()
    singles = [make_process("cnn", 4, PROBLEMS, DECISIONS, ("iris",), 2, stratum=(n, 4)) for n in range(4)]
    for single, seed in zip(singles, np.random.SeedSequence(3).spawn(4), strict=True):
        single.seed(seed)
    np.testing.assert_array_equal(observation, np.concatenate([single.reset() for single in singles]))
    horizons = [single.horizon for single in singles]
    edges = 12 * 8 ** (np.arange(5) / 4)
    assert all(low - 1 <= horizon <= high + 1 for low, horizon, high in zip(edges, horizons, edges[1:], strict=False))
    action = np.linspace(-1, 1, 16)
    for _ in range(6):
        step = on_two.step(action)
        alone = [single.step(mine) for single, mine in zip(singles, np.split(action, 4), strict=True)]
        for mine, parts in zip(step, zip(*alone, strict=True), strict=True):
            np.testing.assert_array_equal(mine, np.concatenate(parts))
        np.testing.assert_array_equal(on_two.hidden(), np.concatenate([single.hidden() for single in singles]))
        np.testing.assert_array_equal(on_two.log_multiple, np.concatenate([s.log_multiple for s in singles]))
    assert on_two.over.all()


def test_the_number_of_cores_changes_nothing(on_two: ProcessPool) -> None:
    one = pool(1)
    on_two.seed(3)
    np.testing.assert_array_equal(one.reset(), on_two.reset())
    for _ in range(6):
        np.testing.assert_array_equal(one.step(np.full(16, 0.3)).reward, on_two.step(np.full(16, 0.3)).reward)


def test_marked_runs_begin_anew_while_the_others_go_on() -> None:
    made = make_pool(2, 1, 8, False, "nmf", None, Decisions(4))
    made.seed(0)
    made.reset()
    before = made.step(np.zeros(8)).observation
    slots = np.arange(8) < 4
    after = made.reset(slots)
    np.testing.assert_array_equal(after[4:], before[4:])
    assert (after[:4, 0] == 0).all()


def test_rewards_that_are_seen_less_often_add_up_to_the_same() -> None:
    totals = []
    for every in (1, 4):
        process = make_process("nmf", 4, None, Decisions(6, judged_every=every))
        process.seed(1)
        process.reset()
        rewards = np.array([process.step(np.full(4, 0.2)).reward for _ in range(6)])
        assert (rewards != 0).any(1).tolist() == [(k + 1) % every == 0 or k == 5 for k in range(6)]
        totals.append(rewards.sum(0))
    np.testing.assert_allclose(totals[0], totals[1])


def test_a_single_batch_is_a_process_and_errors_elsewhere_are_raised_here(on_two: ProcessPool) -> None:
    assert isinstance(make_pool(1, 1, 4, False, "nmf"), Process)
    with pytest.raises(ValueError, match="divide the 3 batches"):
        make_pool(3, 2, 6, False, "nmf")
    worker = Worker(list)
    worker.send("no_such_method")
    with pytest.raises(AttributeError, match="no_such_method"):
        worker.receive()
