"""Training of micro networks: B runs of one class of small networks, in one set of kernels."""

from collections.abc import Sequence
from copy import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrpilot.arrays import Floats, Weights
from lrpilot.envs.tasks.base import TRIED, AbstractTask, TriedLRs, tried_costs
from lrpilot.envs.tasks.micro.base_lr import guessed_lr
from lrpilot.envs.tasks.micro.model import BatchedModel
from lrpilot.envs.tasks.micro.networks import NETWORKS
from lrpilot.envs.tasks.micro.problems import MicroProblems
from lrpilot.envs.tasks.micro.samples import AbstractSource, Samples
from lrpilot.envs.tasks.micro.settings import Settings, draw_settings, draw_sources
from lrpilot.envs.tasks.micro.stream import Stream
from lrpilot.envs.tasks.micro.structure import Structure, draw_structure
from lrpilot.envs.tasks.optimizers import OPTIMIZERS, SIGN_LIKE, AbstractOptimizer, Hyper

DATA = ("wine", "breast_cancer", "digits")  # real tables, if none are named
EVALUATED = 32  # runs in one call without gradients
_OF_RUN = ("parameters", "gradient", "lr_error", "initial", "_objective")


class MicroTask(AbstractTask):
    """B = G·R runs of one structure: G problems with R replicas each, which share everything but the LR.

    A full reset draws a structure for all: class, widths, depth, activation, normalisation, optimizer, loss, size of
    the mini-batch. Each problem has its own data, label noise, scale of the initial weights, number of samples, samples
    in a mini-batch, momentum, weight decay, clipping of the gradient, and error of the base LR. The objective is the
    loss on samples that are never trained on, by their true labels. Batch normalisation uses the statistics of the
    samples at hand, in training and for the objective.

    Replicas with the same LR agree in every bit in nearly all structures, if B is a multiple of 8. In the others they
    agree to rounding: the last bits of a product can depend on where in memory a run is.

    A reset of single runs leaves the structure as it is, and draws everything else anew; with replicas, it begins the
    same problem anew.

    Args:
        problems: The distribution that problems are drawn from.
        batch_size: B, how many run side by side.
        data: Names of real tables for a share of the problems; `DATA` if empty.
        replicas: R, how many successive runs share everything but the LR, mini-batches too; divides B.

    Attributes:
        structure: What all runs have in common.
        settings: What each problem has, shapes (G, …).
        parameters: Shape (B, P).
        gradient: Of the last step, clipped, without weight decay, shape (B, P).
        guess: LR that seems right for each problem, per step, shape (G,).
        lr_error: Base LR over it, shape (B,).
        initial: Objective of each run at its start, shape (B,).

    Raises:
        ValueError: B can't be divided so.

    Example:
        >>> task = MicroTask(MicroProblems(classes=("perceptron",), lr_error=(0.3, 0.3)), 8, replicas=4)
        >>> task.reset(np.random.default_rng(0))
        >>> start = task.objective()
        >>> for _ in range(100): loss = task.sgd_step(task.reference())
        >>> bool((task.objective() < start).all()), bool((loss[:4] == loss[0]).all())
        (True, True)
    """

    hidden_size = 14 + len(NETWORKS)
    reference_name = "base_lr"

    def __init__(self, problems: MicroProblems, batch_size: int, data: Sequence[str] = (), replicas: int = 1) -> None:
        if batch_size % replicas:
            raise ValueError(f"batch_size must be a multiple of replicas = {replicas}, not {batch_size}")
        self.problems, self.batch_size, self.replicas = problems, batch_size, replicas
        self.data = tuple(data) or DATA

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw a new structure and new problems, or new problems in some slots; see `AbstractTask.reset`."""
        new = torch.from_numpy(self._marked(slots))
        if new.all():
            self.structure: Structure = draw_structure(self.problems, rng)
            self.model = BatchedModel(self.structure.network, self.structure.loss)
            self._draw(self.batch_size // self.replicas, rng)
            self._start()
            return
        fresh = copy(self)
        if self.replicas == 1:
            fresh._draw(int(new.sum()), rng)
            for mine, its in zip((*self.settings, self.guess, *self.held_out), fresh._drawn(), strict=True):
                mine[new] = its
            self.stream.insert(new, fresh.stream)
        fresh._start()
        self._insert(new, fresh, slice(None) if self.replicas == 1 else new)

    def _drawn(self) -> tuple[Tensor, ...]:
        return (*self.settings, self.guess, *self.held_out)

    def _draw(self, count: int, rng: np.random.Generator) -> None:
        """Draw problems, and prepare their data."""
        structure = self.structure
        self.settings: Settings = draw_settings(self.problems, structure, count, rng)
        sources = draw_sources(self.problems, structure, self.settings, self.data, rng)
        generators = [torch.Generator().manual_seed(int(seed)) for seed in rng.integers(2**62, size=count)]
        held_out = [self._held_out_samples(*each) for each in zip(sources, generators, strict=True)]
        self.held_out = Samples(*map(torch.stack, zip(*held_out, strict=True)))
        sizes, rows = self.settings.sizes.tolist(), self.settings.rows.tolist()
        self.stream = Stream(sources, sizes, rows, structure.rows, generators)
        self.settings.sizes[:] = torch.tensor(self.stream.sizes)
        samples = self.model.arranged(self.stream.next())
        first = self.model.gradients(self.settings.start, samples, self.settings.weights, self.settings.unused)[1]
        norm = first.norm(dim=1)
        self.settings.clip.mul_(norm.clamp(1e-6, 1e6))  # from here on absolute
        self.guess = guessed_lr(structure.optimizer, norm.minimum(self.settings.clip.float()), self.settings.momentum)

    def _held_out_samples(self, source: AbstractSource, generator: torch.Generator) -> Samples:
        """Draw the held-out samples of a problem; those of a small table come more than once."""
        samples = source.draw(self.problems.held_out, generator, held_out=True)
        return samples.rows(torch.arange(self.problems.held_out) % len(samples.inputs))

    def _start(self) -> None:
        """Begin all problems with all replicas."""
        self.parameters = self._repeated(self.settings.start).clone()
        self.gradient = torch.zeros_like(self.parameters)
        self.lr_error = self._repeated(self.settings.lr_error).clone()
        self._repeat()
        settings = self.settings
        hyper = Hyper(settings.momentum, settings.beta2, settings.shrink / self.guess)
        kind = OPTIMIZERS[self.structure.optimizer]
        self.optimizer: AbstractOptimizer = kind(Hyper(*map(self._repeated, hyper)), self.parameters)
        self._objective, self.stale = self._held_out_loss(), False
        self.initial = self._objective.clone()

    def _insert(self, slots: Tensor, other: "MicroTask", chosen: Tensor | slice) -> None:
        """Take over the chosen runs of another task with the same structure."""
        for name in _OF_RUN:
            getattr(self, name)[slots] = getattr(other, name)[chosen]
        self._repeat()
        other.optimizer.__dict__.update({name: value[chosen] for name, value in vars(other.optimizer).items()})
        self.optimizer.insert(slots, other.optimizer)

    def _repeated(self, of_problems: Tensor) -> Tensor:
        return of_problems if self.replicas == 1 else of_problems.repeat_interleave(self.replicas, 0)

    def _repeat(self) -> None:
        """Lay out by run what each step reads."""
        settings = self.settings
        self._weights, self._clip = self._repeated(settings.weights), self._repeated(settings.clip).float()[:, None]
        self._clips, self._unused = bool(self._clip.isfinite().any()), self._repeated(settings.unused)

    def sgd_step(self, lr: Floats) -> Floats:
        """Make one step of each run's optimizer; see `AbstractTask.sgd_step`."""
        samples = self.model.arranged(self.stream.next(), self.replicas)
        losses, gradient = self.model.gradients(self.parameters, samples, self._weights, self._unused)
        self.gradient = self._clipped(gradient)
        self.optimizer.step(self.parameters, self.gradient, torch.from_numpy(lr).to(self.parameters.dtype))
        self.stale = True
        return losses.double().numpy()

    def _clipped(self, gradient: Tensor) -> Tensor:
        if not self._clips:
            return gradient
        return gradient * (self._clip / (gradient.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1.0)

    def gradient_sq(self) -> Floats:
        """Return ‖g‖² of the last mini-batch, clipped, without weight decay, shape (B,)."""
        return self.gradient.square().sum(1).double().numpy()

    def weights(self) -> Weights:
        """Return the parameters of each run, shape (B, P)."""
        return self.parameters.numpy()

    def gradients(self) -> Weights:
        """Return the gradients of the last mini-batch, clipped, without weight decay, shape (B, P)."""
        return self.gradient.numpy()

    def reference(self) -> Floats:
        """Return the base LR, shape (B,), per step: `guessed_lr` × error; constant over a run."""
        return (self._repeated(self.guess) * self.lr_error).numpy()

    def set_lr_error(self, error: Floats) -> None:
        """Set how wrong the base LRs are; see `AbstractTask.set_lr_error`."""
        self.lr_error = torch.from_numpy(np.array(error, dtype=np.float64))

    def tried_lrs(self, horizon: int) -> TriedLRs:
        """Return what a linear decay to zero ends with from each of the LRs `TRIED`; see `AbstractTask.tried_lrs`."""
        tried = copy(self)
        tried.replicas, tried.stream = len(TRIED), self.stream.clone()
        tried._start()
        lr = (tried._repeated(self.guess).view(-1, len(TRIED)) * torch.from_numpy(np.exp(TRIED))).flatten().numpy()
        for step in range(horizon):
            tried.sgd_step(lr * (1 - step / horizon))
        costs = tried_costs(tried.objective(), tried.initial.numpy(), self.replicas)
        return TriedLRs(self.lr_error.log().numpy(), costs)

    def objective(self) -> Floats:
        """Return the loss on the held-out samples, shape (B,); infinite where it is not finite."""
        if self.stale:
            self._objective, self.stale = self._held_out_loss(), False
        return self._objective.numpy().copy()

    @torch.no_grad()
    def _held_out_loss(self) -> Tensor:
        """The objective of all runs, float64; computed for a few problems at a time, which fit the cache."""
        problems, losses = max(1, EVALUATED // self.replicas), []
        even = torch.full((1, self.problems.held_out), 1.0 / self.problems.held_out)
        pieces = (torch.split(part, problems) for part in (*self.held_out, self.settings.unused))
        parameters = torch.split(self.parameters, problems * self.replicas)
        for own, inputs, targets, unused in zip(parameters, *pieces, strict=True):
            samples = self.model.arranged(Samples(inputs, targets), self.replicas)
            weights = even.expand(len(own), -1)
            losses.append(self.model.losses(own, samples, weights, self._repeated(unused)))
        loss = torch.cat(losses).double()
        return torch.where(loss.isfinite(), loss, torch.inf)

    def hidden(self) -> Floats:
        """Return what only the critic knows, shape (B, hidden_size), dimensionless.

        Logs of LR error, held-out loss (when it was last asked for) over its start, samples that count, training
        samples, P (each over 3) and 1 − momentum; label noise, clipped, single pass, AdamW-like, RMSprop, Nesterov,
        normalised, matrices / 5; and for each class of networks whether it is that.
        """
        structure, settings, network = self.structure, self.settings, self.structure.network
        sizes = torch.where(settings.sizes > 0, settings.sizes, 10_000).double()
        of_groups = (settings.rows.double().log() / 3, sizes.log() / 3, (1 - settings.momentum).log())
        decrease = self._objective / self.initial  # when it was last asked for: it costs as much as some steps
        each = [self.lr_error.log() / 3, decrease.log() / 3, *map(self._repeated, of_groups)]
        each += [self._repeated(settings.label_noise), self._clip[:, 0].isfinite().double()]
        kind = structure.optimizer
        same = [np.log(network.size) / 3, structure.single_pass, kind in SIGN_LIKE, kind == "rmsprop"]
        same += [kind == "nesterov", network.normalised, network.depth / 5]
        same += [structure.name == name for name in NETWORKS]
        each += [torch.full_like(self.lr_error, float(value)) for value in same]
        return torch.stack(each, 1).numpy()
