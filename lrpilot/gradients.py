"""What a torch training loop can tell from its gradients, at a cost paid at decisions alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.optim import Optimizer

SKETCH = 4096  # entries that are kept of each gradient tensor


class GradientWatch:
    """Norm of a gradient, and its cosine with the one before.

    Of the earlier gradient only a sketch is kept: every k-th entry of each tensor, at most 4096 of them.

    Attributes:
        sketch: The gradient kept last, one dimension; None if there is none.
    """

    def __init__(self) -> None:
        self.sketch: Tensor | None = None

    def keep(self, optimizer: Optimizer) -> None:
        """Keep a sketch of the gradients of the step just made.

        Args:
            optimizer: Its parameters' `.grad` are read.
        """
        self.sketch = _sketch(_gradients(optimizer))

    def seen(self, optimizer: Optimizer) -> tuple[float, float]:
        """Compare the gradients of the step just made with the sketch.

        Args:
            optimizer: Its parameters' `.grad` are read.

        Returns:
            The squared norm, NaN if there are no gradients (or sparse ones); and the cosine, 0 if unknown.
        """
        gradients = _gradients(optimizer)
        if not gradients:
            return math.nan, 0.0
        before, now = self.sketch, _sketch(gradients)
        if before is None or now is None or before.shape != now.shape:
            return _norm_sq(gradients), 0.0
        inner, now_sq, before_sq = torch.stack([now @ before, now @ now, before @ before]).tolist()
        whole = all(gradient.numel() <= SKETCH for gradient in gradients)
        cosine = inner / math.sqrt(now_sq * before_sq) if now_sq * before_sq > 0 else 0.0
        return now_sq if whole else _norm_sq(gradients), cosine if math.isfinite(cosine) else 0.0


def _norm_sq(gradients: list[Tensor]) -> float:
    return float(torch.nn.utils.get_total_norm(gradients)) ** 2


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = [p.grad for p in parameters if p.grad is not None]
    return [] if any(gradient.is_sparse for gradient in gradients) else gradients


def _sketch(gradients: list[Tensor]) -> Tensor | None:
    if not gradients:
        return None
    parts = [g.reshape(-1) if g.numel() <= SKETCH else g.reshape(-1)[:: -(-g.numel() // SKETCH)] for g in gradients]
    first = parts[0]
    if any(part.device != first.device or part.dtype != first.dtype for part in parts):
        parts = [part.to(first.device, torch.float32) for part in parts]
    return torch.cat(parts).detach()
