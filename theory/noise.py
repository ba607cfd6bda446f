"""The largest LR that still descends when only a noisy gradient is known, and what it takes from mini-batches.

G is the true gradient, g a stochastic one: E g = G, s² = E‖g − G‖², so E‖g‖² = ‖G‖² + s². LRs are per step.
Both bounds here are guards: they say which LRs are too large, not which one to follow.
"""

import torch
from torch import Tensor

from lrpilot.theory.line import descent_limit


def noise_aware_bound(bound: Tensor, gradient_sq: Tensor, variance: Tensor) -> Tensor:
    """Largest η for which E f decreases: bound · ‖G‖² / (‖G‖² + s²).

    Proof: with an unbiased gradient g = G + ε, E‖ε‖² = s², and smoothness L = 2 / bound along the step,
    E f(x − ηg) − f(x) ≤ −η‖G‖² + ½Lη²(‖G‖² + s²), which is negative for every positive η below the value above.
    Any L above λ_max all along the step will do. The smallest that does, to second order, is the mean curvature along
    the steps, E[gᵀ∇²f g] / E‖g‖² (a ratio of means; batch sharpness, arXiv 2412.20553, is the mean of the ratio, with
    the Hessian of the batch): then the value is 2‖G‖² / E[gᵀ∇²f g]. Where the curvature along g is near zero or
    negative that says nothing; `ExpectedLine` is right there too.
    Followed greedily it is too timid to be a schedule (it optimises one step at a time); it is a guard.

    Args:
        bound: 2 / L, the largest stable LR without noise, shape (...).
        gradient_sq: ‖G‖², squared norm of the true gradient, shape (...).
        variance: s² = E‖ε‖², total variance of the stochastic gradient, shape (...), same units.

    Returns:
        The largest LR that descends in expectation, shape (...); 0 at a stationary point with noise.

    Example:
        >>> one = torch.tensor(1.0)
        >>> noise_aware_bound(one, one, 3 * one)
        tensor(0.2500)
    """
    return bound * gradient_sq / (gradient_sq + variance).clamp_min(1e-45)


class GradientMoments:
    """‖G‖² and s² from the mini-batch gradients of a run, by exponential averages with bias correction.

    For two independent unbiased gradients a, b at one point, without bias for every batch size,

        E⟨a, b⟩ = ‖G‖²,    ½E‖a − b‖² = s².

    Successive mini-batches give such a pair only while x stands still. After a step with LR η from a to b,
    G_b = G_a − η∇²f a + O(η²), which depends on the noise in a. With Σ the covariance of g,

        E⟨a, b⟩ ≈ ‖G‖² − η E[gᵀ∇²f g],    ½E‖a − b‖² ≈ s² + η tr(∇²f Σ) + ½η² E‖∇²f g‖².

    That error is not small: at η = ‖G‖² / E[gᵀ∇²f g], half of the bound from the mean curvature, it
    cancels ‖G‖² altogether (the step then ends where E f is flat along it). With positive curvature it errs on the
    safe side: a guard that follows η = 2⟨a, b⟩ / E[gᵀ∇²f g] settles at ⟨a, b⟩ = ‖G‖² − 2⟨a, b⟩, a third of the
    true value. For estimates without it, pass a twin, such as the gradients of the two halves of a batch; s² is
    then that of one half. Batches drawn without replacement are not independent: with p of them in an epoch,
    E⟨a, b⟩ = ‖G‖² − s² / (p − 1). The average itself lags by about 1 / (1 − decay) observations behind a falling
    ‖G‖, which is not the safe side; and a ‖G‖² far below s² over the square root of (pairs remembered · noisy
    entries) can't be told from 0.

    Args:
        decay: Weight of the past in an exponential average, in [0, 1); it remembers about 1 / (1 − decay) pairs.

    Raises:
        ValueError: The decay is outside of [0, 1).

    Example:
        Gradients 3 and 1 of a slope 2 with noise ±1:

        >>> moments = GradientMoments()
        >>> moments.observe(torch.tensor([3.0]), twin=torch.tensor([1.0]))
        >>> moments.gradient_sq, moments.variance
        (tensor(3.), tensor(2.))
    """

    def __init__(self, decay: float = 0.98) -> None:
        self._products, self._variances = _Average(decay), _Average(decay)
        self._last: Tensor | None = None

    def observe(self, gradient: Tensor, twin: Tensor | None = None) -> None:
        """Take in one stochastic gradient.

        Args:
            gradient: All entries in one last dimension, shape (..., d).
            twin: Another independent gradient at the same point, from as large a batch, shape (..., d). None for
                the gradient of the last call; the first call alone then says nothing yet.
        """
        other = self._last if twin is None else twin
        if other is not None:
            self._products.update((gradient * other).sum(-1))
            self._variances.update((gradient - other).square().sum(-1) / 2)
        self._last = gradient.detach().clone()

    @property
    def gradient_sq(self) -> Tensor:
        """‖G‖², shape (...); noise can make the estimate negative, then it is 0."""
        return self._products.value.clamp_min(0)

    @property
    def variance(self) -> Tensor:
        """Total variance s² of one observed gradient, shape (...), in the units of ‖G‖²."""
        return self._variances.value


class ExpectedLine:
    """E f(x − ηg) as a polynomial in η, and the LR at which it comes back to f(x): the exact noise-aware bound.

    f along one direction is a quartic (`line_polynomial`), so its mean over the distribution of g is one too, and
    its `descent_limit` is where expected descent ends: no smoothness constant, no model of the noise, no
    expansion. With mean coefficients c₁ = −‖G‖² and c₂ = ½E[gᵀ∇²f g], dropping c₃ and c₄ would give −c₁/c₂, which
    is `noise_aware_bound` of 2 over the mean curvature.

    The line may be that of f, or that of the loss of *another* mini-batch, drawn independently of g: the means are
    the same. On the batch that g came from, c₁ would be −‖g‖² and the noise would go unseen. At the limit itself
    E f stays as it is; below it, it falls. Like all of `theory.line` it is about steps that projection leaves alone.

    Args:
        decay: Weight of the past in an exponential average, in [0, 1); it remembers about 1 / (1 − decay) lines.

    Raises:
        ValueError: The decay is outside of [0, 1).

    Example:
        f = ½x² from x = 1 with g = 1 ± 1: both f(1 − 2η) and f(1) are seen, and E f = ½ − η + η²:

        >>> line = ExpectedLine()
        >>> line.observe(torch.tensor([[0.5, -2.0, 2.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0, 0.0]]).mean(0))
        >>> line.limit
        tensor(1.)
    """

    def __init__(self, decay: float = 0.98) -> None:
        self._lines = _Average(decay)

    def observe(self, polynomial: Tensor) -> None:
        """Take in the line of one direction −g.

        Args:
            polynomial: `line_polynomial` of f, or of an independent mini-batch's loss, along −g; shape (..., 5).
        """
        self._lines.update(polynomial)

    @property
    def polynomial(self) -> Tensor:
        """Mean coefficients so far, shape (..., 5)."""
        return self._lines.value

    @property
    def limit(self) -> Tensor:
        """Largest LR below which E f falls, per step, shape (...)."""
        return descent_limit(self.polynomial)


class _Average:
    """Exponential average that starts unbiased: divided by the weight 1 − decayᵗ that t values have had."""

    def __init__(self, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        self._decay, self._weight, self._sum = decay, 0.0, torch.zeros(())

    def update(self, value: Tensor) -> None:
        self._sum = self._decay * self._sum.to(value) + (1 - self._decay) * value.detach()
        self._weight = self._decay * self._weight + 1 - self._decay

    @property
    def value(self) -> Tensor:
        if not self._weight:
            raise RuntimeError("nothing to average yet: observe a pair of gradients, or a line, first")
        return self._sum / self._weight
