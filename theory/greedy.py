"""GreedyLR: raise the LR by 1/F when the loss improved, else lower it by F. What can be proved of that rule.

Letters, as in `docs/theory/greedy.md`: ∇f is L-Lipschitz, x_{t+1} = x_t − η_t ∇f(x_t) with the full gradient, x* is a
minimiser, D = ‖x_0 − x*‖, δ = f(x) − f(x*), F in (0, 1) the factor. "Improved" means f(x_{t+1}) < f(x_t). LRs are per
step and carry the unit of 1 / L. The rule is that of arXiv 2512.14527; the proofs are given here.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, overload

import torch
from torch import Tensor

ValueAndGradient = Callable[[Tensor], tuple[Tensor, Tensor]]  # x (d,) -> loss (), gradient (d,)


@overload
def greedy_lr(lr: float, improved: bool, factor: float, lr_min: float = ..., lr_max: float = ...) -> float: ...
@overload
def greedy_lr(lr: Tensor, improved: Tensor, factor: float, lr_min: float = ..., lr_max: float = ...) -> Tensor: ...
def greedy_lr(
    lr: float | Tensor, improved: bool | Tensor, factor: float, lr_min: float = 0.0, lr_max: float = math.inf
) -> float | Tensor:
    """The bare rule: η/F if the loss improved, else ηF, clipped to [η_min, η_max].

    Args:
        lr: η, per step; a float, or shape (...) with one LR a run.
        improved: Whether the step made with `lr` lowered the loss; a bool, or a boolean tensor, shape (...).
        factor: F, in (0, 1).
        lr_min: η_min, per step.
        lr_max: η_max, per step.

    Returns:
        The next LR, per step; shape as `lr`.

    Example:
        >>> greedy_lr(0.1, True, 0.5), greedy_lr(0.1, False, 0.5), greedy_lr(0.1, True, 0.5, lr_max=0.15)
        (0.2, 0.05, 0.15)
    """
    if isinstance(improved, Tensor):
        return torch.where(improved, lr / factor, lr * factor).clamp(lr_min, lr_max)
    moved = lr / factor if improved else lr * factor
    return min(max(float(moved), lr_min), lr_max)


class GreedyRun(NamedTuple):
    """What `greedy_descent` did.

    Attributes:
        x: Iterates, shape (T + 1, d).
        loss: f at the iterates, shape (T + 1,).
        lr: LR of each step, shape (T,), per step.
    """

    x: Tensor
    loss: Tensor
    lr: Tensor


def greedy_descent(
    f: ValueAndGradient,
    x: Tensor,
    lr: float,
    factor: float,
    steps: int,
    *,
    lr_max: float = math.inf,
    reject: bool = False,
) -> GreedyRun:
    """Run gradient descent under the rule.

    Scale f by s and η_0 by 1/s, and nothing changes but the unit of the LR: η∇f and the sign of every change of f stay.
    So the best F can't depend on L. (Theorem A.2 of arXiv 2512.14527 says F = 1 − 1/L: −1 and 0.5 in this example.)

    Args:
        f: Returns loss and gradient at x.
        x: x_0, shape (d,).
        lr: η_0, per step.
        factor: F, in (0, 1).
        steps: T.
        lr_max: η_max, per step.
        reject: Make only steps with f(x − η∇f) ≤ f(x) − ½η‖∇f‖²; others leave x where it is and count as not improved.

    Returns:
        The run; from where it overflowed its losses are infinite or NaN.

    Example:
        >>> def quadratic(L):
        ...     return lambda x: (L * x.square().sum() / 2, L * x)
        >>> x = torch.tensor([1.0])
        >>> half, double = (greedy_descent(quadratic(L), x, 0.1 / L, 0.5, 30) for L in (0.5, 2.0))
        >>> torch.equal(half.x, double.x), torch.equal(half.lr, 4 * double.lr)
        (True, True)
    """
    xs, lrs = [x], []
    loss, gradient = f(x)
    losses = [loss]
    for _ in range(steps):
        moved = x - lr * gradient
        new_loss, new_gradient = f(moved)
        target = loss - lr * gradient.square().sum() / 2
        improved = bool(new_loss <= target) if reject else bool(new_loss < loss)
        if improved or not reject:
            x, loss, gradient = moved, new_loss, new_gradient
        lrs.append(lr)
        xs.append(x)
        losses.append(loss)
        lr = greedy_lr(lr, improved, factor, lr_max=lr_max)
    return GreedyRun(torch.stack(xs), torch.stack(losses), torch.tensor(lrs, dtype=x.dtype))


def average_gap_bound(distance: float, lr_min: float, lr_max: float, smoothness: float, steps: int) -> float:
    """Theorem A.1, sharpened: D² / (2 m T) bounds the mean gap of T convex steps, m = min φ(η) over η_min, η_max.

    φ(η) = η · min(1, 2 − ηL), for LRs up to 2/L (the paper's argument stops at 1/L). Proof, with δ_t the gap, g the
    gradient. Convexity and smoothness give ⟨g, x − x*⟩ ≥ δ + ‖g‖²/2L and ‖g‖² ≤ 2Lδ, so

        ‖x_{t+1} − x*‖² = ‖x_t − x*‖² − 2η⟨g, x_t − x*⟩ + η²‖g‖² ≤ ‖x_t − x*‖² − 2ηδ_t + η(η − 1/L)‖g‖²
                        ≤ ‖x_t − x*‖² − 2φ(η_t)δ_t          (drop the last term if η ≤ 1/L, else ‖g‖² ≤ 2Lδ).

    Sum over t < T; φ rises up to 1/L and is concave after it, so on an interval it is smallest at an end. By Jensen the
    bound holds for f at the average of x_0 … x_{T−1} as well. It asks nothing of how the LRs are chosen.

    Tight: at η = 1/L the Huber function of slope LD/T attains it for every T at the average iterate; for η in
    [1/L, 2/L) the mean gap on ½Lx² attains it as T grows.

    Args:
        distance: D, in units of x.
        lr_min: Smallest LR of the run, per step.
        lr_max: Largest LR of the run, per step.
        smoothness: L.
        steps: T ≥ 1.

    Returns:
        The bound on (1/T) Σ_{t<T} f(x_t) − f(x*); infinite if η_max ≥ 2/L.

    Example:
        >>> average_gap_bound(1.0, 1.0, 1.0, smoothness=1.0, steps=1)  # ½x² at x_0 = 1: attained
        0.5
        >>> average_gap_bound(2.0, 0.1, 1.5, smoothness=1.0, steps=100)
        0.2
    """
    slowest = min(lr * min(1.0, 2.0 - lr * smoothness) for lr in (lr_min, lr_max))
    return distance**2 / (2 * slowest * steps) if slowest > 0 else math.inf


def lr_floor(lr: float, factor: float, smoothness: float, lr_max: float = math.inf) -> float:
    """The LR never falls below min(η_0, 2F/L, η_max), for any L-smooth f, although the rule doesn't know L.

    Proof: f(x − ηg) ≤ f(x) − η(1 − ηL/2)‖g‖², so every step with η < 2/L improves. Hence a cut starts at η ≥ 2/L and
    ends at ηF ≥ 2F/L. L need only hold on the segments walked. It asks for g ≠ 0 and a loss without noise or rounding
    errors, and for η_min = 0 or below the floor. With `reject` it is min(η_0, F/L, η_max), by the same lines.

    Args:
        lr: η_0, per step.
        factor: F, in (0, 1).
        smoothness: L.
        lr_max: η_max, per step.

    Returns:
        The floor, per step.

    Example:
        >>> lr_floor(100.0, 0.5, smoothness=4.0), lr_floor(0.01, 0.5, smoothness=4.0)
        (0.25, 0.01)
    """
    return min(lr, 2 * factor / smoothness, lr_max)


def climb_steps(times_too_low: float, factor: float) -> int:
    """Steps until the LR is at least 2/L: ⌈log k / log(1/F)⌉, since all improve; for 2F/L it takes one step less.

    Args:
        times_too_low: k = 2 / (Lη_0) ≥ 1.
        factor: F, in (0, 1).

    Returns:
        The number of steps.

    Example:
        >>> climb_steps(1000, 0.5), climb_steps(1000, 0.9)
        (10, 66)
    """
    return math.ceil(math.log(times_too_low) / -math.log(factor))


def largest_raise(lr: float, smoothness: float) -> float:
    """Most that one step can multiply the gap f − f* with: max(1, (ηL − 1)²), for any L-smooth f bounded below.

    Proof: δ_{t+1} ≤ δ_t + η(ηL/2 − 1)‖g‖² and ‖g‖² ≤ 2Lδ_t, for η ≥ 2/L. ½Lx² attains it. Nothing but η_max keeps η
    small: on a quadratic of condition number κ the rule can climb to almost 2/(Fμ) before f rises.

    Args:
        lr: η, per step.
        smoothness: L.

    Returns:
        The largest factor.

    Example:
        >>> largest_raise(1.9, smoothness=1.0), largest_raise(200.0, smoothness=1.0)
        (1.0, 39601.0)
    """
    return max(1.0, (lr * smoothness - 1) ** 2)


def diverging_share(factor: float) -> float:
    """Share of starting LRs (log-uniform) from which the rule without η_max diverges on f = ½Lx², for F > 0.1716.

    Proof: let u be the largest of the ηL = η_0 L F^{−n} below 2. Steps alternate between u (f falls, the LR rises) and
    u/F (f rises, the LR is cut), and two of them multiply |x| with |u − 1|(u/F − 1). That exceeds 1 iff u > 1 + F, or
    u < 1 and u² − (1 + F)u + 2F < 0, which has no solution for F > 3 − 2√2 = 0.1716. u is log-uniform on [2F, 2), so
    the share is log(2/(1 + F)) / log(1/F).

    Args:
        factor: F, in (3 − 2√2, 1).

    Returns:
        The share; it tends to ½ as F tends to 1.

    Raises:
        ValueError: F is outside that range.

    Example:
        >>> round(diverging_share(0.5), 3), round(diverging_share(0.9), 3)
        (0.415, 0.487)
    """
    if not 3 - 2 * math.sqrt(2) < factor < 1:
        raise ValueError(f"factor must be above 3 − 2√2 = 0.1716 and below 1, not {factor}")
    return math.log(2 / (1 + factor)) / -math.log(factor)


def guaranteed_lr_sum(lr: float, factor: float, smoothness: float, steps: int) -> float:
    """Lower bound (2F/L)(T − log k / log(1/F)) on the sum of T LRs, k = max(1, 2/(Lη_0)), without η_max.

    Proof: from step ⌈log k / log(1/F)⌉ − 1 on the LR is at least 2F/L (`climb_steps`, `lr_floor`).

    Args:
        lr: η_0, per step.
        factor: F, in (0, 1).
        smoothness: L.
        steps: T.

    Returns:
        The bound, at least 0.

    Example:
        >>> guaranteed_lr_sum(0.25, 0.5, smoothness=1.0, steps=10)
        7.0
    """
    too_low = max(1.0, 2 / (smoothness * lr))
    return max(0.0, 2 * factor / smoothness * (steps + math.log(too_low) / math.log(factor)))


def safest_factor(times_too_low: float, steps: int) -> float:
    """The F with the largest `guaranteed_lr_sum`: log(1/F) = (a + √(a² + 4a)) / 2, a = log(k) / T.

    It weighs the floor lost, s = log(1/F) in log LR, against the climb of log(k)/s steps. Both are ratios, so no L is
    in it. For T ≫ log k it is about exp(−√(log(k)/T)). Proof: the derivative of e^{−s}(1 − a/s) vanishes where
    s² − as − a = 0. It is best for the guarantee, which is a worst case, not for every run.

    Args:
        times_too_low: k = 2 / (L η_0) > 1: how wrong the starting LR may be.
        steps: T, length of the run.

    Returns:
        F, in (0, 1).

    Example:
        >>> round(safest_factor(64, 100), 3), round(safest_factor(64, 10_000), 3)
        (0.798, 0.98)
    """
    a = math.log(times_too_low) / steps
    return math.exp(-(a + math.sqrt(a * a + 4 * a)) / 2)


def coin_flip_distribution(raise_probability: float, levels: int) -> Tensor:
    """Where the LR ends up at the noise floor, where "improved" is a coin flip: π_j ∝ (p / (1 − p))^j.

    Before it meets a bound, log η is a random walk: drift (2p − 1) log(1/F) and variance 4p(1 − p) log²(1/F) a step.
    Clipped, with η_max = η_min F^{−(levels − 1)}, it is a chain on levels in which π_j p = π_{j+1}(1 − p) (detailed
    balance). At p = ½ it is uniform in log η whatever the loss, so the bounds choose the LR and the rule does not.

    Args:
        raise_probability: p, in (0, 1).
        levels: Number of LRs η_min F^{−j} between the bounds, both included.

    Returns:
        Stationary probabilities from η_min to η_max, shape (levels,).

    Example:
        >>> coin_flip_distribution(0.5, 4), coin_flip_distribution(0.6, 2)
        (tensor([0.2500, 0.2500, 0.2500, 0.2500]), tensor([0.4000, 0.6000]))
    """
    return torch.softmax(math.log(raise_probability / (1 - raise_probability)) * torch.arange(levels), 0)
