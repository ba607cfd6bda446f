"""Runs whose parameters any method may move: what a rival needs that does more than choose LRs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import singledispatch

import torch
from torch import Tensor

from lrpilot.envs.tasks.base import AbstractTask
from lrpilot.envs.tasks.composite import AbstractCompositeTask
from lrpilot.envs.tasks.linear.task import LinearTask
from lrpilot.envs.tasks.nets.group import NetGroup
from lrpilot.envs.tasks.nmf.task import NMFTask
from lrpilot.envs.tasks.optimizers import SGD, AbstractOptimizer, Hyper


class AbstractParameterAccess(ABC):
    """B runs with P parameters each, in one tensor, and their mini-batches.

    Attributes:
        parameters: Shape (B, P).
        optimizer: The problem's own.
        blocks: Numbers of parameters of the tensors that a network is made of, in order; they sum to P.
    """

    parameters: Tensor
    optimizer: AbstractOptimizer
    blocks: list[int]

    @abstractmethod
    def draw(self) -> tuple[Tensor, Tensor]:
        """Draw the next mini-batch.

        Returns:
            Its loss (B,) and its gradient (B, P) at the parameters.
        """

    @abstractmethod
    def loss_at(self, parameters: Tensor) -> Tensor:
        """Return the loss of the drawn mini-batch at other parameters, shape (B, P) -> (B,)."""

    @abstractmethod
    def gradient_at(self, parameters: Tensor) -> Tensor:
        """Return the gradient of the drawn mini-batch at other parameters, shape (B, P) -> (B, P)."""

    @abstractmethod
    def place(self, parameters: Tensor) -> None:
        """Move the runs to other parameters, shape (B, P), or to the nearest that are allowed."""

    def largest_lr(self) -> Tensor:
        """Return the bound on the next LR, shape (B,), per step; infinite where there is none."""
        return torch.full((len(self.parameters),), torch.inf)


def direction(access: AbstractParameterAccess, gradient: Tensor) -> Tensor:
    """Take a gradient in, and return what a step of the problem's optimizer would subtract per unit of LR.

    Args:
        access: Its parameters are left as they are.
        gradient: Shape (B, P).

    Returns:
        Shape (B, P).
    """
    parameters = access.parameters
    moved = parameters.clone()
    access.optimizer.step(moved, gradient, torch.ones(len(parameters), dtype=parameters.dtype))
    return parameters - moved


class NMFAccess(AbstractParameterAccess):
    """The runs of an `NMFTask`: W and H flattened, side by side, and plain SGD as the optimizer.

    With the noise ε of a draw at p₀ = (W₀, H₀), the loss of its mini-batch S is

        κ·½‖(WH − X)_S‖² + ⟨ε, p − p₀⟩,

    so that the noisy gradient of `NMFTask.sgd_step` is its gradient. Draws take the same random numbers in the same
    order as steps of the task; they are those of a run whose task is not stepped or reset in between.

    Args:
        task: At the start of its runs.
    """

    def __init__(self, task: NMFTask) -> None:
        self.task = task
        self.parameters = torch.from_numpy(task.weights())
        self.blocks = [task.W[0].numel(), task.H[0].numel()]
        zero = torch.zeros(task.batch_size)
        self.optimizer = SGD(Hyper(zero, zero, zero), self.parameters)
        self._spent = False  # whether the mini-batch that the task holds ready was drawn before

    def draw(self) -> tuple[Tensor, Tensor]:
        """Draw the next mini-batch and the noise of its gradient; see `AbstractParameterAccess.draw`."""
        task = self.task
        if self._spent:
            task.draw_gradient()
        self._spent = True
        spread = (task.noise / task.kappa)[:, None, None]
        W_noise, H_noise = task.draw_noise()
        task.used = task.W_gradient.addcmul(spread, W_noise), task.H_gradient.addcmul(spread, H_noise)
        self._in_batch, self._origin = task.in_batch, self.parameters
        self._noise = task.noise[:, None] * _flat(W_noise, H_noise)
        return task.kappa * task.R_sq / 2, task.kappa[:, None] * _flat(*task.used)

    def loss_at(self, parameters: Tensor) -> Tensor:
        """Return the loss of the drawn mini-batch; see `AbstractParameterAccess.loss_at`."""
        R = self._residual(*self._split(parameters))
        return self.task.kappa * R.square().sum((1, 2)) / 2 + (self._noise * (parameters - self._origin)).sum(1)

    def gradient_at(self, parameters: Tensor) -> Tensor:
        """Return the gradient of the drawn mini-batch; see `AbstractParameterAccess.gradient_at`."""
        W, H = self._split(parameters)
        R = self._residual(W, H)
        return self.task.kappa[:, None] * _flat((H @ R.mT).mT, W.mT @ R) + self._noise

    def place(self, parameters: Tensor) -> None:
        """Move the runs to the nearest W, H ≥ 0; see `AbstractParameterAccess.place`.

        The first move after a draw makes the task draw the columns of the next mini-batch.
        """
        task, (W, H) = self.task, self._split(parameters)
        task.W, task.H = W.clamp_min(0) * task.W_mask, H.clamp_min(0) * task.H_mask
        task.R = torch.baddbmm(task.X, task.W, task.H, beta=-1)
        if self._spent:
            task.draw_gradient()
        else:
            task.take_gradient()
        self._spent = False
        self.parameters = _flat(task.W, task.H)

    def largest_lr(self) -> Tensor:
        """Return the certified bound on a step on the next mini-batch, the drawn one until a move, shape (B,)."""
        return torch.from_numpy(self.task.reference())

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        W, H = torch.split(parameters, self.blocks, 1)
        return W.reshape(self.task.W.shape), H.reshape(self.task.H.shape)

    def _residual(self, W: Tensor, H: Tensor) -> Tensor:
        return (W @ H - self.task.X) * self._in_batch


def _flat(W: Tensor, H: Tensor) -> Tensor:
    return torch.cat([W.flatten(1), H.flatten(1)], 1)


class LinearAccess(AbstractParameterAccess):
    """The runs of a `LinearTask`, B = G·R of them with k parameters each, and plain SGD as the optimizer.

    The parameters are the task's z in rotated axes, for z lies along the eigenvectors of the Hessian: a method with a
    step size for each coordinate would be handed the perfect preconditioner, which no network offers. SGD takes the
    same steps in any axes. Weight decay belongs to the task's loss; the optimizer has none.

    Args:
        task: At the start of its runs; not to be stepped or reset afterwards.
    """

    def __init__(self, task: LinearTask) -> None:
        self.task = task
        z = torch.from_numpy(task.weights())
        self._axes = _rotation(z.shape[1])
        self.blocks = [z.shape[1]]
        self.place(z @ self._axes)
        zero = torch.zeros(task.batch_size)
        self.optimizer = SGD(Hyper(zero, zero, zero), self.parameters)

    def draw(self) -> tuple[Tensor, Tensor]:
        """Draw the next mini-batch; see `AbstractParameterAccess.draw`."""
        loss = self.task.draw_gradient()
        return loss.flatten(), self._rows(self.task.gradient)

    def loss_at(self, parameters: Tensor) -> Tensor:
        """Return the loss of the drawn mini-batch; see `AbstractParameterAccess.loss_at`."""
        return self.task.measure(self._columns(parameters))[0].flatten()

    def gradient_at(self, parameters: Tensor) -> Tensor:
        """Return the gradient of the drawn mini-batch; see `AbstractParameterAccess.gradient_at`."""
        return self._rows(self.task.measure(self._columns(parameters))[1])

    def place(self, parameters: Tensor) -> None:
        """Move the runs; see `AbstractParameterAccess.place`."""
        self.parameters = parameters
        self.task.z = self._columns(parameters)

    def largest_lr(self) -> Tensor:
        """Return 2/L, the largest LR that is stable in mean square, shape (B,), per step."""
        return torch.from_numpy(self.task.reference())

    def _columns(self, parameters: Tensor) -> Tensor:
        """(B, k) -> z, (G, k, R)."""
        return (parameters @ self._axes.mT).reshape(-1, self.task.replicas, self.blocks[0]).mT

    def _rows(self, columns: Tensor) -> Tensor:
        """Gradient along z, (G, k, R) -> (B, k)."""
        return columns.mT.flatten(0, 1) @ self._axes


def _rotation(size: int) -> Tensor:
    """A random rotation, always the same, shape (size, size)."""
    gaussian = torch.randn(size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rotation: Tensor = torch.linalg.qr(gaussian)[0]
    return rotation.float()


class NetAccess(AbstractParameterAccess):
    """The runs of a `NetGroup`, with the optimizer of the group.

    Args:
        group: At the start of its runs.
    """

    def __init__(self, group: NetGroup) -> None:
        self.group, self.optimizer, self.blocks = group, group.optimizer, group.blocks

    @property
    def parameters(self) -> Tensor:  # type: ignore[override]
        """Those of the group, shape (B, P)."""
        return self.group.parameters

    def draw(self) -> tuple[Tensor, Tensor]:
        """Draw the next mini-batch; see `AbstractParameterAccess.draw`."""
        return self.group.draw()

    @torch.no_grad()
    def loss_at(self, parameters: Tensor) -> Tensor:
        """Return the loss of the drawn mini-batch; see `AbstractParameterAccess.loss_at`."""
        return self.group.losses(parameters, *self.group.drawn)

    def gradient_at(self, parameters: Tensor) -> Tensor:
        """Return the gradient of the drawn mini-batch; see `AbstractParameterAccess.gradient_at`."""
        return self.group.gradients_and_losses(parameters, *self.group.drawn)[0]

    def place(self, parameters: Tensor) -> None:
        """Move the runs; see `AbstractParameterAccess.place`."""
        self.group.parameters = parameters
        self.group.stale[:] = True


@singledispatch
def accesses(task: AbstractTask) -> Sequence[AbstractParameterAccess]:
    """Return accesses to the parameters of all runs of a task, in order."""
    raise NotImplementedError(f"{type(task).__name__} can't be handed over to other methods")


@accesses.register
def _(task: NMFTask) -> Sequence[AbstractParameterAccess]:
    return [NMFAccess(task)]


@accesses.register
def _(task: LinearTask) -> Sequence[AbstractParameterAccess]:
    return [LinearAccess(task)]


@accesses.register
def _(task: NetGroup) -> Sequence[AbstractParameterAccess]:
    return [NetAccess(task)]


@accesses.register
def _(task: AbstractCompositeTask) -> Sequence[AbstractParameterAccess]:
    return [access for part in task.parts for access in accesses(part)]
