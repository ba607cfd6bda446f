"""Rivals from published packages: Schedule-Free, Prodigy and D-Adaptation, as their authors wrote them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from dadaptation import DAdaptAdam, DAdaptSGD
from prodigyopt import Prodigy
from schedulefree import AdamWScheduleFree, SGDScheduleFree
from torch import Tensor
from torch.nn import Parameter

from lrpilot.envs.tasks.optimizers import SGD, AbstractOptimizer, AdamW, RMSprop
from lrpilot.experiments.league.parameter_access import AbstractParameterAccess
from lrpilot.experiments.league.rules.base import AbstractRule

Package = Callable[[Parameter, AbstractOptimizer, int], torch.optim.Optimizer]  # parameters, settings, which run
BETA2 = 0.999  # of Adam-like methods on problems whose own optimizer is SGD: the packages' default


class Rows:
    """The parameters of B runs as so many parameters of torch, all in one tensor.

    Args:
        start: Shape (B, P).

    Attributes:
        values: Shape (B, P).
        gradient: Shape (B, P); optimizers overwrite it.
        parameters: The rows of `values`; their gradients are the rows of `gradient`.
    """

    def __init__(self, start: Tensor) -> None:
        self.values, self.gradient = start.clone(), torch.zeros_like(start)
        self.parameters = [Parameter(row) for row in self.values]
        for parameter, gradient in zip(self.parameters, self.gradient, strict=True):
            parameter.grad = gradient

    def place(self, access: AbstractParameterAccess) -> None:
        """Move the runs of an access here, and come to where it allows them to be."""
        access.place(self.values.clone())
        self.values.copy_(access.parameters)


class ScheduleFree(AbstractRule):
    """Schedule-Free SGD or AdamW (arXiv 2405.15682), package `schedulefree`, after the problem's own optimizer.

    Weight decay and AdamW's β₂ are the problem's; β takes the place of momentum. Gradients are taken at the package's
    y, and `shown` is its average x. After each step z goes to the nearest point that is allowed, so that x and y,
    means of such points, are allowed too. The access's bound on LRs does not guard these steps.

    Args:
        access: The runs.
        beta: Share of x in y, above 0 and below 1.
        warmup: Steps over which the LR rises linearly to the base LR.
    """

    def __init__(self, access: AbstractParameterAccess, beta: float = 0.9, warmup: int = 0) -> None:
        super().__init__(access)
        self._rows = Rows(access.parameters)
        groups = [{"params": [row]} for row in self._rows.parameters]
        shared: dict[str, Any] = {"warmup_steps": warmup, "foreach": False}
        if isinstance(access.optimizer, SGD):
            self._optimizer: Any = SGDScheduleFree(groups, momentum=beta, **shared)
        else:
            self._optimizer = AdamWScheduleFree(groups, **shared)
        for run, group in enumerate(self._optimizer.param_groups):
            _, beta2, group["weight_decay"] = settings(access.optimizer, run)
            if "betas" in group:
                group["betas"] = (beta, beta2)
        self._beta = beta
        self._optimizer.train()

    def step(self, base_lr: Tensor) -> Tensor:
        """Draw a mini-batch and make one step; see `AbstractRule.step`."""
        losses, gradient = self.draw()
        self._rows.gradient.copy_(gradient)
        for group, lr in zip(self._optimizer.param_groups, base_lr.tolist(), strict=True):
            group["lr"] = lr
        self._optimizer.step()
        self._project()
        self._rows.place(self.access)
        self.lr = torch.tensor([group["scheduled_lr"] for group in self._optimizer.param_groups])
        return losses

    def _project(self) -> None:
        """Move z to where the access allows it to be, and y by as much as it would have moved with that z.

        With c the weight of the new z in x, y = βx + (1 − β)z holds 1 − β(1 − c) of it.
        """
        states = [self._optimizer.state[row] for row in self._rows.parameters]
        z = torch.stack([state["z"] for state in states])
        self.access.place(z)
        change = self.access.parameters - z
        if not change.any():
            return
        groups = self._optimizer.param_groups
        for state, row, group, part in zip(states, self._rows.values, groups, change, strict=True):
            c = group["lr_max"] ** 2 / group["weight_sum"] if group["weight_sum"] else 0.0
            state["z"].add_(part)
            row.add_(part, alpha=1 - self._beta * (1 - c))

    def shown(self) -> Tensor:
        """Return the averages x, shape (B, P)."""
        values = self._rows.values
        training = values.clone()
        self._optimizer.eval()
        average = values.clone()
        self._optimizer.train()
        values.copy_(training)  # the way there and back is not exact
        return average


class DistanceRule(AbstractRule):
    """An optimizer that estimates how far the solution is, one for each run, and takes its LR from that.

    Its LR is a factor, 1 by the authors' advice; the base LR counts only as a multiple of that of the first step, and
    must be positive there. The runs are held to what is allowed, but its bound on LRs does not guard these steps.

    Args:
        access: The runs.
        package: Makes the optimizer of a run.
        factor: On the LR.
    """

    def __init__(self, access: AbstractParameterAccess, package: Package, factor: float = 1.0) -> None:
        super().__init__(access)
        self._rows = Rows(access.parameters)
        self._optimizers = [package(row, access.optimizer, run) for run, row in enumerate(self._rows.parameters)]
        self._factor = factor
        self._first = torch.full_like(self.lr, torch.nan)

    def step(self, base_lr: Tensor) -> Tensor:
        """Draw a mini-batch and make one step; see `AbstractRule.step`."""
        losses, gradient = self.draw()
        if self._first.isnan().all():
            self._first = base_lr.clone()
        self._rows.gradient.copy_(gradient)
        factors = (self._factor * base_lr / self._first).tolist()
        self.lr = torch.tensor([_step(*pair) for pair in zip(self._optimizers, factors, strict=True)])
        self._rows.place(self.access)
        return losses


def _step(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Make one step unless the factor is 0, and return its LR."""
    group = optimizer.param_groups[0]
    if not factor > 0:  # D-Adaptation fails at 0
        return 0.0
    distance, group["lr"] = group["d"], factor
    try:
        optimizer.step()
    except ZeroDivisionError:  # D-Adaptation divides by the norm of the first gradient, which may be 0
        return 0.0
    except RuntimeError:  # torch takes no factor above the largest number of the parameters' type: the run has diverged
        group["params"][0].detach().fill_(torch.nan)
    return factor * float(distance) / float(group.get("g0_norm", 1.0))


def settings(optimizer: AbstractOptimizer, run: int) -> tuple[float, float, float]:
    """Return momentum or β₁, β₂ and weight decay of one run; β₂ is `BETA2` for SGD, which has none.

    Raises:
        TypeError: The optimizer is of a kind that has no counterpart in the packages.
    """
    match optimizer:
        case SGD(momentum=momentum, weight_decay=decay):
            return float(momentum[run]), BETA2, float(decay[run])
        case (
            AdamW(momentum=momentum, beta2=beta2, weight_decay=decay)
            | RMSprop(momentum=momentum, beta2=beta2, weight_decay=decay)
        ):
            return float(momentum[run]), float(beta2[run]), float(decay[run])
    raise TypeError(f"no counterpart of {type(optimizer).__name__}")


def prodigy(parameter: Parameter, like: AbstractOptimizer, run: int, coefficient: float = 1.0) -> torch.optim.Optimizer:
    """Return Prodigy (arXiv 2306.06101), package `prodigyopt`, which is Adam-like on all problems.

    Args:
        parameter: Of one run.
        like: The problem's own optimizer: momentum or β₁, β₂, weight decay and how it acts are taken over.
        run: Which of its runs.
        coefficient: d_coef, on the estimated distance: what its authors advise to tune.
    """
    beta1, beta2, decay = settings(like, run)
    optimizer: torch.optim.Optimizer = Prodigy([parameter], betas=(beta1, beta2), d_coef=coefficient)
    # Given to the constructor, this would be printed.
    optimizer.param_groups[0].update(weight_decay=decay, decouple=isinstance(like, AdamW))
    return optimizer


def d_adaptation(parameter: Parameter, like: AbstractOptimizer, run: int) -> torch.optim.Optimizer:
    """Return SGD or Adam with D-Adaptation (arXiv 2301.07733), package `dadaptation`.

    Args:
        parameter: Of one run.
        like: The problem's own optimizer: its kind, momentum or β₁, β₂, weight decay and how it acts are taken over.
        run: Which of its runs.
    """
    beta1, beta2, decay = settings(like, run)
    if isinstance(like, SGD):
        return DAdaptSGD([parameter], momentum=beta1, weight_decay=decay)
    optimizer = DAdaptAdam([parameter], betas=(beta1, beta2), weight_decay=decay)
    optimizer.param_groups[0]["decouple"] = isinstance(like, AdamW)  # given to the constructor, it would be printed
    return optimizer


Make = Callable[[AbstractParameterAccess], AbstractRule]
SCHEDULE_FREE: dict[str, Make] = {
    "β 0.9": ScheduleFree,
    "β 0.98": partial(ScheduleFree, beta=0.98),
    "β 0.9, warm-up of 12 steps": partial(ScheduleFree, warmup=12),
}
PRODIGY: dict[str, Make] = {
    f"d_coef {coefficient:g}": partial(DistanceRule, package=partial(prodigy, coefficient=coefficient))
    for coefficient in (1.0, 0.5, 2.0)
}
D_ADAPTATION: dict[str, Make] = {
    f"factor {factor:g}": partial(DistanceRule, package=d_adaptation, factor=factor) for factor in (1.0, 0.25, 0.5, 2.0)
}
