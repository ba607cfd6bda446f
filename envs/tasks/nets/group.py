"""Runs of one network structure on one data set, side by side: all parameters in one tensor."""

from copy import copy
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.functional import cross_entropy

from lrpilot.arrays import Floats, Weights
from lrpilot.envs.data.dataset import Dataset
from lrpilot.envs.tasks.base import TRIED, AbstractTask, TriedLRs, tried_costs
from lrpilot.envs.tasks.nets.mini_batches import Loader, augment
from lrpilot.envs.tasks.nets.problems import NetBatch, NetProblems, Structure, draw_batch, part_of
from lrpilot.envs.tasks.nets.right_lr import right_lr
from lrpilot.envs.tasks.optimizers import ADAMS, OPTIMIZERS, SIGN_LIKE, AbstractOptimizer, Hyper

CHUNK = 64  # runs in one call: more would push each other's activations out of the cache of a core
EVALUATED = 4096  # samples of all runs together in one call without gradients
MEASURED = 8  # problems that the right LR is measured on


class NetGroup(AbstractTask):
    """B = G·R runs: G problems of one structure with R replicas each, which share everything but the LR.

    Args:
        problems: The distribution that the problems are drawn from.
        structure: What they have in common.
        count: G.
        replicas: R.
        rng: The only source of randomness.

    Attributes:
        parameters: Shape (B, P).
        gradient: Of the last step, without weight decay, shape (B, P).
        right_lr: LR that seems right for the structure, per step, at momentum 0.
        lr_error: Base LR over the LR that seems right, shape (B,).
        initial: Objective of each run at its start, shape (B,).
    """

    hidden_size = 8
    reference_name = "base_lr"

    def __init__(
        self, problems: NetProblems, structure: Structure, count: int, replicas: int, rng: np.random.Generator
    ) -> None:
        self.problems, self.structure, self.replicas = problems, structure, replicas
        self._names, weights = zip(*structure.network.named_parameters(), strict=True)
        self._shapes = [weight.shape for weight in weights]
        self.blocks = [prod(shape) for shape in self._shapes]
        self.gradients_and_losses = vmap(grad_and_value(self.loss), chunk_size=CHUNK)
        self.losses = vmap(self.loss)
        self.batch = draw_batch(problems, structure, count, rng)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self.loader = Loader(self.batch.sizes, self.batch.samples.shape[1], structure.batch, generator)
        self.right_lr = self._measure()
        self._start()

    def _start(self) -> None:
        """Begin all problems with all replicas."""
        self.lr_error = self._repeated(self.batch.lr_error).clone()
        self.parameters = self._repeated(self.batch.start).clone()
        self.gradient = torch.zeros_like(self.parameters)
        self.optimizer = self._optimizer(self.batch, self.replicas)
        self.batch_size = len(self.parameters)
        self._objective = torch.zeros(self.batch_size, dtype=torch.float64)
        self.stale = torch.ones(self.batch_size, dtype=torch.bool)
        self.initial = self._held_out_loss().clone()

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Begin new problems of the same structure; among replicas, the same problem anew; see `AbstractTask.reset`."""
        new = torch.from_numpy(self._marked(slots))
        if self.replicas == 1:
            fresh = draw_batch(self.problems, self.structure, int(new.sum()), rng)
            for mine, its in zip(self.batch, fresh, strict=True):
                mine[new] = its
            self.loader.restart(new, fresh.sizes)
        again = NetBatch(*(self._repeated(entry)[new] for entry in self.batch))
        self.lr_error[new] = again.lr_error
        self.parameters[new] = again.start.to(self.parameters.dtype)
        self.gradient[new] = 0.0
        self.optimizer.insert(new, self._optimizer(again, 1))
        self.stale |= new
        self.initial[new] = self._held_out_loss()[new]

    def _repeated(self, of_problems: Tensor) -> Tensor:
        return of_problems if self.replicas == 1 else of_problems.repeat_interleave(self.replicas, 0)

    def _optimizer(self, batch: NetBatch, replicas: int) -> AbstractOptimizer:
        hyper = Hyper(batch.momentum, batch.beta2, batch.shrink / self.right_lr)
        like = batch.start.repeat_interleave(replicas, 0)
        return OPTIMIZERS[self.structure.optimizer](Hyper(*(e.repeat_interleave(replicas) for e in hyper)), like)

    def _measure(self) -> float:
        inputs, targets = self._examples(torch.arange(self.structure.batch).expand(len(self.batch.sizes), -1))
        some = slice(MEASURED)
        return right_lr(self.loss, self.batch.start[some], inputs[some], targets[some], self.structure.optimizer)

    def reference(self) -> Floats:
        """Return the base LR, shape (B,), per step: right LR × error, × (1 − momentum) for SGD; constant over a run."""
        return _array(self._guess() * self.lr_error)

    def _guess(self) -> Tensor:
        """LR that seems right for each run, shape (B,), per step."""
        reach = torch.ones(()) if self.structure.optimizer in ADAMS else 1 - self._repeated(self.batch.momentum)
        return self.right_lr * reach

    def set_lr_error(self, error: Floats) -> None:
        """Set how wrong the base LRs are; see `AbstractTask.set_lr_error`."""
        self.lr_error = torch.from_numpy(np.array(error, dtype=np.float64))

    def tried_lrs(self, horizon: int) -> TriedLRs:
        """Return what a linear decay to zero ends with from each of the LRs `TRIED`; see `AbstractTask.tried_lrs`."""
        tried = copy(self)
        tried.replicas, tried.loader = len(TRIED), self.loader.clone()
        tried._start()
        tried.lr_error = torch.from_numpy(np.tile(np.exp(TRIED), len(self.batch.sizes)))
        lr = tried.reference()
        for step in range(horizon):
            tried.sgd_step(lr * (1 - step / horizon))
        costs = tried_costs(tried.objective(), _array(tried.initial), self.replicas)
        return TriedLRs(_array(self.lr_error.log()), costs)

    def hidden(self) -> Floats:
        """Return logs of LR error, samples, 1 − momentum, objective over start, batch, P; AdamW, noise; (B, 8)."""
        problem, structure = self.batch, self.structure
        adaptive, count = float(structure.optimizer in SIGN_LIKE), float(self.parameters.shape[1])
        of_problems = (problem.sizes.double(), 1 - problem.momentum)
        logs = [entry.log() / 3 for entry in (self.lr_error, *map(self._repeated, of_problems))]
        logs.append((self._held_out_loss() / self.initial).log())
        logs += [torch.full_like(logs[0], value).log() / 3 for value in (structure.batch, count)]
        flags = [torch.full_like(logs[0], adaptive), self._repeated(problem.label_noise)]
        return _array(torch.stack(logs + flags, 1))

    def gradient_sq(self) -> Floats:
        """Return ‖g‖² of the last mini-batch, without weight decay, shape (B,)."""
        return _array(self.gradient.square().sum(1))

    def weights(self) -> Weights:
        """Return the parameters of each run, shape (B, P)."""
        return self.parameters.numpy()

    def gradients(self) -> Weights:
        """Return the gradients of the last mini-batch, without weight decay, shape (B, P)."""
        return self.gradient.numpy()

    def loss(self, parameters: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy of one run; differentiable, and fit for vmap.

        Args:
            parameters: Shape (P,).
            inputs: Of n samples, shape (n, …).
            targets: Shape (n,), or (n, T) for a language model.

        Returns:
            Shape ().
        """
        parts = zip(torch.split(parameters, self.blocks), self._shapes, strict=True)
        named = zip(self._names, (part.view(shape) for part, shape in parts), strict=True)
        logits: Tensor = functional_call(self.structure.network, dict(named), (inputs,))
        return cross_entropy(logits.flatten(0, -2), targets.flatten())

    def sgd_step(self, lr: Floats) -> Floats:
        """Make one step of each run's optimizer; see `AbstractTask.sgd_step`."""
        losses, self.gradient = self.draw()
        self.optimizer.step(self.parameters, self.gradient, torch.from_numpy(lr).to(self.parameters.dtype))
        self.stale[:] = True
        return _array(losses)

    def draw(self) -> tuple[Tensor, Tensor]:
        """Draw the next mini-batch; return losses (B,) and gradients (B, P) of it."""
        inputs, targets = self._examples(self.loader.draw())
        inputs = augment(inputs, self.batch.augment, self.loader.generator)
        self.drawn = self._repeated(inputs), self._repeated(targets)
        gradient, losses = self.gradients_and_losses(self.parameters, *self.drawn)
        return losses, gradient

    def _examples(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and noisy targets at positions (G, n) in the training samples of each problem."""
        problem = torch.arange(len(rows))[:, None]
        inputs = part_of(self.structure.data, "train").inputs[self.batch.samples[problem, rows]]
        return self._in_dtype(inputs), self.batch.targets[problem, rows]

    def _in_dtype(self, inputs: Tensor) -> Tensor:
        return inputs.to(self.batch.start.dtype) if inputs.is_floating_point() else inputs

    def objective(self) -> Floats:
        """Return the loss on the held-out samples, shape (B,), in nats a target; infinite where it is not finite."""
        return _array(self._held_out_loss())

    @torch.no_grad()
    def _held_out_loss(self) -> Tensor:
        """The objective, float64, measured anew only for runs that have moved since."""
        runs = self.stale.nonzero()[:, 0]
        if len(runs):
            validation = part_of(self.structure.data, "validation")
            self._objective[runs] = self._evaluated(runs, validation, self.batch.held_out)
            self.stale[:] = False
        return self._objective

    @torch.no_grad()
    def test_loss(self) -> Floats:
        """Return the loss on the test part of the data, shape (B,), in nats a target: for final scores only."""
        test = part_of(self.structure.data, "test")
        everything = torch.arange(len(test.targets)).expand(len(self.batch.sizes), -1)
        return _array(self._evaluated(torch.arange(len(self.parameters)), test, everything))

    def _evaluated(self, runs: Tensor, data: Dataset, samples: Tensor) -> Tensor:
        """Mean loss of some runs on samples (G, E) of the data, one row of indices a problem."""
        losses = []
        for some in torch.split(runs, max(1, EVALUATED // samples.shape[1])):
            index = samples[some // self.replicas]
            losses.append(self.losses(self.parameters[some], self._in_dtype(data.inputs[index]), data.targets[index]))
        loss = torch.cat(losses).double()
        return torch.where(loss.isfinite(), loss, torch.inf)


def _array(tensor: Tensor) -> Floats:
    return tensor.double().numpy()
