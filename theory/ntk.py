"""The neural tangent kernel of a finite network at its present weights, and the LR that it makes critical.

For a model f with weights w, n inputs and C outputs each, the Jacobian J has a row for every output of every
input, shape (nC, P), and K = JJᵀ (nC, nC). For the loss (1/n) Σᵢ ℓ(f(xᵢ), yᵢ) the Gauss-Newton matrix is JᵀMJ/n,
with M the block-diagonal Hessian of ℓ in the outputs; for ½‖f − y‖² it is JᵀJ/n, with the eigenvalues of K/n.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from lrpilot.theory.lanczos import largest_eigenvalue


def ntk(model: nn.Module, inputs: Tensor, chunk: int = 64) -> Tensor:
    """The whole kernel K = JJᵀ, exactly.

    Cost: nC backward passes of one input each, and n·C·P numbers of memory for J. See `ntk_norm` for λ_max alone.

    Args:
        model: Maps inputs (n, …) to outputs (n, …); a layer that couples inputs or draws random numbers (batch norm,
            dropout) has to be in evaluation mode.
        inputs: Shape (n, …).
        chunk: Inputs whose Jacobians are computed side by side.

    Returns:
        K, shape (nC, nC), C the outputs for one input; rows ordered by input, then output.

    Example:
        For a linear model without bias K is XXᵀ:

        >>> ntk(nn.Linear(2, 1, bias=False), torch.tensor([[1.0, 0.0], [3.0, 4.0]]))
        tensor([[ 1.,  3.],
                [ 3., 25.]])
    """
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    fixed = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
    fixed |= {name: buffer.detach() for name, buffer in model.named_buffers()}

    def outputs(weights: dict[str, Tensor], one: Tensor) -> Tensor:
        result: Tensor = functional_call(model, weights | fixed, (one[None],))
        return result.reshape(-1)

    jacobians = vmap(jacrev(outputs), (None, 0), chunk_size=chunk)(trained, inputs)
    J = torch.cat([part.flatten(2) for part in jacobians.values()], -1).flatten(0, 1)  # (nC, P)
    return J @ J.mT


def ntk_norm(model: nn.Module, inputs: Tensor, products: int = 30) -> float:
    """λ_max(K) without forming K, from products v ↦ J(Jᵀv).

    The model is called once, in its present mode; with batch norm in training mode J is that of the coupled batch.
    Jᵀv is a backward pass; Ju is one too, through the backward pass of a placeholder for v.

    Cost: one forward pass, and for each product about two gradient evaluations.

    Args:
        model: Maps inputs (n, …) to outputs (n, …).
        inputs: Shape (n, …).
        products: Lanczos steps; the result approaches λ_max from below and is exact from nC on.

    Returns:
        λ_max(K), in units of output over parameter, squared.

    Example:
        >>> inputs = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
        >>> round(ntk_norm(nn.Linear(2, 1, bias=False), inputs), 4)
        25.3693
        >>> round(float(torch.linalg.eigvalsh(inputs @ inputs.mT)[-1]), 4)
        25.3693
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    with torch.enable_grad():
        outputs = model(inputs)
        placeholder = torch.zeros_like(outputs, requires_grad=True)
        pulled = torch.autograd.grad(outputs, parameters, placeholder, create_graph=True, materialize_grads=True)

    def product(vector: Tensor) -> Tensor:
        weights = _pull(outputs, parameters, vector.reshape(outputs.shape))
        pushed = torch.autograd.grad(pulled, placeholder, weights, retain_graph=True, materialize_grads=True)[0]
        return pushed.reshape(-1)

    # Outputs that move together dominate most kernels; the random part is there for those where they don't.
    rng = torch.Generator().manual_seed(0)
    start = 1 + torch.randn(outputs.numel(), generator=rng).to(outputs.detach())
    return float(largest_eigenvalue(product, start, products)[0])


def critical_lr(model: nn.Module, inputs: Tensor, output_curvature: float = 1.0, products: int = 30) -> float:
    """LR per step above which a linearised network leaves its minimum: 2 / (m · λ_max(K/n)).

    For the loss (1/n) Σᵢ ½‖f(xᵢ) − yᵢ‖² (m = 1) and a model linear in its weights this is exact: the Hessian is
    JᵀJ/n, with the non-zero eigenvalues of K/n, and gradient descent converges for every LR below it.

    For another loss ℓ whose Hessian in the outputs is at most m, JᵀMJ/n ≼ m · JᵀJ/n, so it is a lower bound on 2 over
    the largest eigenvalue of the Gauss-Newton matrix. Softmax cross-entropy has m = ½: with p the probabilities,
    vᵀ(diag p − ppᵀ)v is the variance of v under p, at most (max v − min v)²/4 ≤ ‖v‖²/2.

    The Hessian of a network has a second part, Σ ∂ℓ/∂f · ∇²f, which this ignores. Real networks can go beyond the
    critical LR: the loss grows at first, the kernel shrinks, and training goes on (the catapult of Lewkowycz et al.
    2020, arXiv 2003.02218; up to about twice it for ½‖f − y‖²).

    Args:
        model: Maps inputs (n, …) to outputs (n, …).
        inputs: Shape (n, …).
        output_curvature: m, largest eigenvalue of the Hessian of ℓ in the outputs of one input. 1 for ½‖f − y‖²; ½ for
            softmax cross-entropy; 2/C for torch's mean squared error, which has no ½ and divides by C.
        products: As in `ntk_norm`.

    Returns:
        The LR per step; infinite for a model that no weight moves.

    Example:
        >>> critical_lr(nn.Linear(1, 1, bias=False), torch.tensor([[2.0], [2.0]]))
        0.5
    """
    norm = output_curvature * ntk_norm(model, inputs, products) / len(inputs)
    return 2 / norm if norm != 0 else float("inf")


def _pull(outputs: Tensor, parameters: Sequence[Tensor], vector: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(outputs, parameters, vector, retain_graph=True, materialize_grads=True)
