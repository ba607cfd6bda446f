"""The loss along a line, exactly: a quartic in the LR, and the LRs at which it comes back to where it began.

f(W + ηA, H + ηB) = c₀ + c₁η + c₂η² + c₃η³ + c₄η⁴ for every direction (A, B), so one line search costs five inner
products. LRs are per step; they carry the unit of (W, H) over that of (A, B), which for a gradient is 1 / [X].
"""

import torch
from torch import Tensor

LARGEST = torch.finfo(torch.float64).max
HALVINGS = 63  # a positive float64 is a 63-bit integer


def line_polynomial(W: Tensor, H: Tensor, X: Tensor, A: Tensor, B: Tensor) -> Tensor:
    """Coefficients of f(W + ηA, H + ηB) = Σ_k c_k ηᵏ for f = ½‖WH − X‖²_F.

    With R = WH − X, the residual at η is R + η(AH + WB) + η²AB, so

        c₀ = ½‖R‖²,  c₁ = ⟨R, AH + WB⟩,  c₂ = ½‖AH + WB‖² + ⟨R, AB⟩,  c₃ = ⟨AH + WB, AB⟩,  c₄ = ½‖AB‖².

    c₁ is the slope ⟨G, (A, B)⟩ and 2c₂ the curvature D²f[(A, B)], so a mean over random directions holds both
    moments that decide expected descent (`theory.noise`). The loss κ·½‖(WH − X)_S‖² of a mini-batch S of columns
    has κ times the coefficients of H_S, X_S and B_S.

    Args:
        W: Left factor, shape (..., m, r).
        H: Right factor, shape (..., r, n).
        X: Data, shape (..., m, n).
        A: Direction of W, shape (..., m, r).
        B: Direction of H, shape (..., r, n).

    Returns:
        (c₀, c₁, c₂, c₃, c₄), shape (..., 5), all shapes broadcast; c_k in units of X² over units of η to the k.

    Example:
        f(1 + η, 1 + η) = ½((1 + η)² − 3)² at w = h = 1, x = 3:

        >>> one = torch.ones(1, 1)
        >>> line_polynomial(one, one, 3 * one, one, one)
        tensor([ 2.0000, -4.0000,  0.0000,  2.0000,  0.5000])
    """
    R, first, second = W @ H - X, A @ H + W @ B, A @ B
    c0, c1, c3, c4 = _inner(R, R) / 2, _inner(R, first), _inner(first, second), _inner(second, second) / 2
    c2 = _inner(first, first) / 2 + _inner(R, second)
    return torch.stack([c.expand_as(c1) for c in (c0, c1, c2, c3, c4)], -1)


def gradient_line(W: Tensor, H: Tensor, X: Tensor) -> Tensor:
    """`line_polynomial` along the negative gradient: f of one unprojected gradient step, as a polynomial in its LR.

    Args:
        W: Left factor, shape (..., m, r).
        H: Right factor, shape (..., r, n).
        X: Data, shape (..., m, n).

    Returns:
        Its coefficients, shape (..., 5); c₁ = −‖G‖².

    Example:
        >>> gradient_line(torch.ones(1, 1), torch.ones(1, 1), torch.zeros(1, 1))
        tensor([ 0.5000, -2.0000,  3.0000, -2.0000,  0.5000])
    """
    R = W @ H - X
    return line_polynomial(W, H, X, -(R @ H.mT), -(W.mT @ R))


def descent_limit(polynomial: Tensor) -> Tensor:
    """LR at which f along a line first comes back to f(0): no LR below it raises f, and one just above does.

    It is the limit of the *unprojected* line. A projected step ends at x + D(η), and D is not linear in η; then
    f(x + tD) is a quartic in t, and a limit of at least 1 on that line says that the step did not raise f.

    Args:
        polynomial: Coefficients c₀ … c₄, shape (..., 5), bounded below as those of `line_polynomial` are.

    Returns:
        The limit, shape (...): 0 along an ascent direction, infinite where f does not change.

    Example:
        At w = h = 1, x = 0 the step with LR 1 ends at the minimum w = h = 0, the one with LR 2 at w = h = −1:

        >>> descent_limit(gradient_line(torch.ones(1, 1), torch.ones(1, 1), torch.zeros(1, 1)))
        tensor(2.)
    """
    return descent_intervals(polynomial)[0]


def descent_intervals(polynomial: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All LRs that do not raise f along a line: f(η) ≤ f(0) exactly on [0, first] ∪ [again, last].

    A quartic may rise above f(0) and dip below it once more. `first` is `descent_limit`; `last` is the largest LR
    that does not raise f, but between `first` and `again` f is raised, so `last` is no limit for a guard.

    Proof and method. f(η) − f(0) = η q(η) with the cubic q = c₁ + c₂η + c₃η² + c₄η³, which is monotone between the
    zeros of q'. Between two of these a change of sign is enclosed by halving the *bit patterns* of the ends:
    positive floats sort as their bits do, so 63 halvings leave two neighbouring floats at any scale. Only signs
    decide, so there is no tolerance; a double root counts or not as rounding has it. A limit that overflows is inf.

    Args:
        polynomial: Coefficients c₀ … c₄, shape (..., 5), bounded below as those of `line_polynomial` are.

    Returns:
        (first, again, last), each of shape (...), rounded inwards in float64. With one interval only, all three are
        equal. first = 0 along an ascent direction; all are infinite where f does not change, 0 where c is not finite.

    Example:
        f(η) − f(0) = η(η − 1)(η − 2)(η − 3):

        >>> descent_intervals(torch.tensor([0.0, -6.0, 11.0, -6.0, 1.0]))
        (tensor(1.), tensor(2.), tensor(3.))
    """
    cubic = polynomial[..., 1:].double()
    finite = cubic.isfinite().all(-1)
    cubic = cubic.where(finite[..., None], torch.ones((), dtype=cubic.dtype, device=cubic.device))
    edges = _edges(cubic)
    raised = _raises(cubic, edges)
    low, high = _enclose(cubic, edges[..., :-1], edges[..., 1:], raised[..., :-1])
    leaves, enters = ~raised[..., :-1] & raised[..., 1:], raised[..., :-1] & ~raised[..., 1:]
    never, always = torch.zeros_like(low), torch.full_like(low, torch.inf)
    first = torch.where(leaves, low, always).amin(-1).masked_fill(raised[..., 0], 0)
    last = torch.where(leaves, low, never).amax(-1).masked_fill(~raised[..., -1], torch.inf)
    again = torch.where(enters.any(-1), torch.where(enters, high, never).amax(-1), last)
    dtype = polynomial.dtype
    return first.to(dtype), again.to(dtype), last.to(dtype)


def _inner(first: Tensor, second: Tensor) -> Tensor:
    """Inner product of matrices, shape (...)."""
    return (first * second).sum((-2, -1))


def _edges(cubic: Tensor) -> Tensor:
    """0, the two turning points of q where it has them, and the largest float, in order; shape (..., 4)."""
    _, c2, c3, c4 = cubic.unbind(-1)
    root = (c3.square() - 3 * c2 * c4).clamp_min(0).sqrt()  # without turning points: any two edges will do
    outer = -(c3 + root.copysign(c3))  # adds numbers of one sign: no cancellation
    turns = torch.stack([outer / (3 * c4), c2 / outer], -1).nan_to_num(0).clamp(0, LARGEST).sort(-1).values
    return torch.cat([torch.zeros_like(turns[..., :1]), turns, torch.full_like(turns[..., :1], LARGEST)], -1)


def _raises(cubic: Tensor, eta: Tensor) -> Tensor:
    """Whether f(η) > f(0), for η of shape (..., k); at η = 0, whether the first LRs above it raise f."""
    c1, c2, c3, c4 = (coefficient[..., None] for coefficient in cubic.unbind(-1))
    at_zero = torch.where(c1 != 0, c1, torch.where(c2 != 0, c2, torch.where(c3 != 0, c3, c4))) > 0
    return torch.where(eta == 0, at_zero, ((c4 * eta + c3) * eta + c2) * eta + c1 > 0)


def _enclose(cubic: Tensor, low: Tensor, high: Tensor, raised: Tensor) -> tuple[Tensor, Tensor]:
    """Halve [low, high], where `raised` holds at low, until both ends are neighbouring floats; shape (..., k)."""
    below, above = low.view(torch.int64), high.view(torch.int64)
    for _ in range(HALVINGS):
        middle = below + (above - below) // 2
        as_low = _raises(cubic, middle.view(torch.float64)) == raised
        below, above = torch.where(as_low, middle, below), torch.where(as_low, above, middle)
    return below.view(torch.float64), above.view(torch.float64)
