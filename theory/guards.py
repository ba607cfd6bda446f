"""Callables for the `bound` of `LearnedLR`: the largest stable LR of any torch model, measured as it trains.

They measure the curvature that plain SGD meets. They are no certificate (`NMFBound` is): they see one mini-batch
at one point, and the loss is not quadratic. Adam and other preconditioned methods have another edge.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lrpilot.theory.curvature import LossFunction, gradient_and_hessian
from lrpilot.theory.lanczos import largest_eigenvalue
from lrpilot.theory.ntk import critical_lr

Guard = Callable[[], float]
EVERY = 10
KEEP = 0.99


def batch_sharpness_bound(
    model: nn.Module,
    loss_fn: LossFunction,
    every: int = EVERY,
    *,
    products: int = 3,
    keep: float = KEEP,
    momentum: float = 0.0,
) -> Guard:
    """Guard from the curvature that SGD meets on its own mini-batches: 2(1 − β) / s.

        s_t = max(θ_t, keep · s_(t−1)),   s_0 = |θ_0|,   θ = λ_max of the mini-batch's H on span(g, Hg, …, H^(k−1) g).

    For k = products = 1, θ = gᵀHg / ‖g‖², one sample of the batch sharpness (`sharpness.batch_sharpness`). A step with
    an LR below 2/θ lowers its own mini-batch's loss, to second order. That is not enough when the LR is held for
    some steps: θ is small whenever g happens to miss the sharp directions, and the next steps let them grow. On a
    quadratic, k steps of gradient descent never leave the span above, so a few products look that far ahead. And
    a large θ is remembered, fading by a factor of `keep` a measurement, as mini-batches differ. Zero and
    negative curvature sets no limit: it only lets s fade.

    Cost of a measurement: one to two gradient evaluations, and two for each product; seven by default.
    Operations must be twice differentiable (fused attention is not).

    Args:
        model: Its parameters, buffers, training mode, `.grad` and torch's random state are left as they were found.
        loss_fn: Returns the loss of the next mini-batch with its graph. Random layers draw the numbers that the
            training step will draw if it comes next. What it takes from a data loader is gone from the loader.
        every: Calls from one measurement to the next; in between the bound holds. The first `every` calls all measure.
        products: k ≥ 1; more come closer to λ_max of the mini-batch's Hessian, from below.
        keep: Share of s that is kept from one measurement to the next, in [0, 1].
        momentum: β of SGD's heavy ball. For small batches the batch sharpness hovers at 2(1 − β)/η, for large ones at
            2(1 + β)/η (Andreyev et al. 2026, arXiv 2604.14108); the bound uses the smaller.

    Returns:
        The guard. It returns an LR per step; NaN where loss or curvature are not finite, infinity while nothing has
        curved yet: `LearnedLR` keeps its last bound then, and refuses to start with one.

    Raises:
        ValueError: An argument is out of range; the message names it.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> guard = batch_sharpness_bound(model, lambda: 2 * model(torch.ones(1, 1)).sub(9).square().sum())
        >>> guard()  # the loss is 2(w − 9)², its curvature 4
        0.5
    """
    parameters = [p for p in model.parameters() if p.requires_grad]

    def curvature() -> float:
        with untouched(model):
            gradient, product = gradient_and_hessian(loss_fn, parameters)
            finite = bool(gradient.isfinite().all())
            return float(largest_eigenvalue(product, gradient, products)[0]) if finite else math.nan

    return _guard(curvature, every, keep, momentum, -momentum)


def ntk_bound(
    model: nn.Module,
    inputs_fn: Callable[[], Tensor],
    every: int = EVERY,
    *,
    output_curvature: float = 1.0,
    products: int = 10,
    keep: float = KEEP,
    momentum: float = 0.0,
) -> Guard:
    """Guard from the Gauss-Newton matrix: 2(1 + β) / s with θ = m · λ_max(K/n), s as in `batch_sharpness_bound`.

    Measured once, it is (1 + β) times `ntk.critical_lr`.

    It looks at all directions rather than at those near one gradient, and needs no labels. It ignores the part of
    the Hessian that comes from ∇²f, which vanishes as the residuals do.

    On a quadratic, heavy-ball SGD w ← w − ηg + β(w − w_before) is stable exactly for η < 2(1 + β)/λ_max: along an
    eigenvector with eigenvalue λ its step has the characteristic polynomial z² − (1 + β − ηλ)z + β, whose roots
    lie inside the unit circle iff |1 + β − ηλ| < 1 + β. With mini-batch noise the edge is lower: leave β at 0 then.

    Cost of a measurement: about two gradient evaluations for each product, so twenty by default.

    Args:
        model: As in `batch_sharpness_bound`. Called in its present mode.
        inputs_fn: Returns the inputs of a mini-batch, shape (n, …).
        every: As in `batch_sharpness_bound`.
        output_curvature: m, as in `critical_lr`: 1 for ½‖f − y‖², ½ for softmax cross-entropy.
        products: Lanczos steps; λ_max is approached from below.
        keep: As in `batch_sharpness_bound`.
        momentum: β of SGD's heavy ball.

    Returns:
        The guard. It returns an LR per step; NaN and infinity as in `batch_sharpness_bound`.

    Raises:
        ValueError: An argument is out of range; the message names it.

    Example:
        >>> guard = ntk_bound(nn.Linear(1, 1, bias=False), lambda: torch.tensor([[2.0], [2.0]]))
        >>> guard()
        0.5
    """
    if not output_curvature > 0:
        raise ValueError(f"output_curvature must be positive, not {output_curvature}")

    def curvature() -> float:
        with untouched(model):
            return 2 / critical_lr(model, inputs_fn(), output_curvature, products)

    return _guard(curvature, every, keep, momentum, momentum)


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put the model's buffers (running statistics) and torch's random state back at the end of a `with` block.

    Args:
        model: Its buffers are restored in place, those of all submodules included.

    Example:
        >>> norm = nn.BatchNorm1d(1)
        >>> with untouched(norm):
        ...     _ = norm(torch.tensor([[0.0], [2.0]]))
        >>> norm.running_mean
        tensor([0.])
    """
    kept = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)


def _guard(curvature: Callable[[], float], every: int, keep: float, momentum: float, gain: float) -> Guard:
    """2(1 + gain) over the largest remembered curvature, measured at every `every`-th call.

    One mini-batch is no memory yet; so the first `every` calls all measure.
    """
    if every < 1:
        raise ValueError(f"every must be at least 1, not {every}")
    if not (0 <= keep <= 1 and 0 <= momentum < 1):
        raise ValueError(f"keep must lie in [0, 1] and momentum in [0, 1), not {keep} and {momentum}")
    calls, level, bound = 0, 0.0, math.nan

    def guard() -> float:
        nonlocal calls, level, bound
        if calls < every or calls % every == 0:
            measured = curvature()
            if math.isfinite(measured):
                level = max(measured, keep * level) if level else abs(measured)
                bound = 2 * (1 + gain) / level if level else math.inf
            else:
                bound = math.nan
        calls += 1
        return bound

    return guard
