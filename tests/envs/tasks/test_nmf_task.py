"""The batched task against a slow loop in the letters of the theory; the problems against their ranges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lrpilot.envs.tasks.nmf.problems import NMFProblems, draw
from lrpilot.envs.tasks.nmf.task import NMFTask
from lrpilot.theory import NMFBound


def started(batch_size: int = 6, **ranges: object) -> NMFTask:
    task = NMFTask(NMFProblems(**ranges), batch_size)  # type: ignore[arg-type]
    task.reset(np.random.default_rng(0))
    return task


def test_a_step_without_noise_is_projected_gradient_descent() -> None:
    task = started(clean_gradient=1.0, batch_fractions=(1.0,))
    eta = 0.7 * task.reference()
    expected = []
    for b in range(6):
        W, H, X = (tensor[b].double() for tensor in (task.W, task.H, task.X))
        R = W @ H - X
        step = float(eta[b])
        expected.append(((W - step * R @ H.mT).clamp_min(0), (H - step * W.mT @ R).clamp_min(0), R.square().sum() / 2))
    losses = task.sgd_step(eta)
    for b, (W, H, loss) in enumerate(expected):
        torch.testing.assert_close(task.W[b].double(), W, rtol=1e-4, atol=1e-4 * float(W.max()))
        torch.testing.assert_close(task.H[b].double(), H, rtol=1e-4, atol=1e-4 * float(H.max()))
        assert losses[b] == pytest.approx(float(loss), rel=1e-5)


def test_the_mini_batch_loss_is_an_unbiased_estimate() -> None:
    task = started(clean_gradient=1.0, batch_fractions=(0.25,))
    losses = np.array([task.sgd_step(np.zeros(6)) for _ in range(4_000)])
    error = losses.std(0) / np.sqrt(len(losses))
    assert (np.abs(losses.mean(0) - task.objective()) < 5 * error).all()


def test_noise_has_the_size_that_the_problem_asks_for() -> None:
    task = started(64, clean_gradient=0.0, batch_fractions=(1.0,), gradient_noise=(5.0, 5.0))
    clean_sq = task.W_gradient.square().sum((1, 2)) + task.H_gradient.square().sum((1, 2))
    task.sgd_step(np.zeros(64))
    noisy_sq = task.gradient_sq()
    assert np.mean(noisy_sq / clean_sq.numpy()) == pytest.approx(26, rel=0.1)  # 1 + 5²


def test_reference_is_the_bound_a_user_computes_from_the_next_batch() -> None:
    task = started(batch_fractions=(0.5,))
    for _ in range(3):
        task.sgd_step(0.5 * task.reference())
    reference = task.reference()
    for b in range(6):
        columns = torch.nonzero(task.R_batch[b].abs().sum(0)).ravel()
        m, n, r = int(task.W_mask[b].amax(1).sum()), int(task.in_cols[b].sum()), int(task.W_mask[b].amax(0).sum())
        bound = NMFBound(
            task.W[b, :m, :r], task.H[b, :r, :n], task.X[b, :m, :n], columns=lambda columns=columns: columns
        )
        for _ in range(6):
            eta = bound()
        assert float(eta) == pytest.approx(reference[b], rel=0.02)


def test_padding_stays_zero() -> None:
    task = started(32)
    for _ in range(20):
        task.sgd_step(task.reference())
    assert (task.W * (1 - task.W_mask)).abs().max() == 0
    assert (task.H * (1 - task.H_mask)).abs().max() == 0


def test_slots_are_drawn_anew_and_the_others_left_alone() -> None:
    task = started(8)
    task.sgd_step(0.5 * task.reference())
    before = task.W.clone()
    slots = np.arange(8) == 3
    task.reset(np.random.default_rng(1), slots)
    changed = (before != task.W).flatten(1).any(1).numpy()
    np.testing.assert_array_equal(changed, slots)


def test_problems_stay_in_their_ranges_and_fill_them() -> None:
    problems = NMFProblems()
    batch = draw(problems, 2_000, np.random.default_rng(0), [np.eye(50) + 1.0])
    assert (batch.X >= 0).all()
    assert np.isfinite(batch.X).all()
    rms = np.sqrt((batch.X**2).sum((1, 2)) / (batch.X > 0).sum((1, 2)).clip(1))
    assert rms.min() < 2e-2 < 2e2 < rms.max()
    rank = batch.W_mask.max(1).sum(1)
    assert set(rank) == set(range(problems.rank[0], problems.rank[1] + 1))
    assert (batch.noise == 0).mean() == pytest.approx(problems.clean_gradient, abs=0.04)
    assert (batch.batch_cols >= 1).all()
    assert (batch.batch_cols <= batch.cols).all()


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"rank": (-1, 3)}, "rank must be"),
        ({"rows": (5, 2)}, "rows must be"),
        ({"real": 1.5}, "real must be a share"),
        ({"batch_fractions": ()}, "batch_fractions"),
        ({"gradient_noise": (0.0, float("nan"))}, "gradient_noise"),
    ],
)
def test_impossible_ranges_are_named(ranges: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NMFProblems(**ranges)  # type: ignore[arg-type]
