"""The distribution of micro networks: ranges that structures, data and settings are drawn from."""

from dataclasses import dataclass

from lrpilot.envs.ranges import Range, check_ranges
from lrpilot.envs.tasks.micro.networks import NETWORKS
from lrpilot.envs.tasks.optimizers import OPTIMIZERS

# Samples in memory come in multiples of it: in products of other sizes the last bits often depend on where in memory a
# run is, so that replicas would differ.
ALIGNED = 4
_ALLOWED: dict[str, Range] = {
    "widths": (2, 1024),
    "inputs": (2, 4096),
    "depth": (0, 32),
    "outputs": (2, 256),
    "parameters": (1, 1_000_000),
    "batch": (2, 4096),
    "samples": (2, 1_000_000),
    "label_noise": (0.0, 1.0),
    "weight_scale": (1e-3, 1e3),
    "clip": (1e-6, 1e6),
    "shrink": (1e-12, 1e-1),
    "lr_error": (1e-9, 1e9),
}
_SHARES = ("normalised", "single_pass", "tables", "clean", "no_decay", "clipped")


@dataclass(frozen=True)
class MicroProblems:
    """Ranges that problems are drawn from; pairs are inclusive.

    What all runs share is drawn at a full reset: the structure. The rest is drawn for each group of replicas.

    Attributes:
        classes: Names of classes of networks; one is drawn for the structure.
        optimizers: Kinds of optimizers; one is drawn for the structure, AdamW and SGD more often than others.
        widths: Units of a layer (log-uniform).
        inputs: Features of a sample of a perceptron or an autoencoder (log-uniform).
        depth: Hidden layers of a perceptron.
        outputs: Classes of a classifier; a regression has half as many values.
        parameters: Of a network, P; structures outside are drawn anew.
        normalised: Share of the structures with layer or batch normalisation.
        batch: Samples in a mini-batch of perceptrons and autoencoders (log-uniform), half as many for other classes.
            Groups may use fewer, and the rest of a multiple of `ALIGNED` counts nothing.
        work: Multiplications of a forward pass of a mini-batch, at most: other networks get smaller mini-batches,
            down to `ALIGNED` samples.
        single_pass: Share of the structures that never see a sample twice.
        samples: Training samples of the others (log-uniform); not fewer than the mini-batch has.
        held_out: Samples that the objective is measured on.
        tables: Share of the groups whose data are a real table, where the class and the way of sampling permit.
        label_noise: Share of the training targets that are random.
        clean: Probability that none is.
        weight_scale: Factor on the standard deviation of all initial weights (log-uniform).
        momentum: Momentum of SGD and RMSprop; one is drawn for each group.
        beta1: The same for β₁ of AdamW and Adamax.
        beta2: The same for their β₂ and for RMSprop's α.
        shrink: Share of the weights that weight decay takes away in a step at the guessed LR (log-uniform).
        no_decay: Probability of no weight decay.
        clip: Norm to which gradients are clipped, over that of the first gradient (log-uniform).
        clipped: Probability that they are.
        lr_error: Base LR over the guessed LR (log-uniform).
    """

    classes: tuple[str, ...] = tuple(NETWORKS)
    optimizers: tuple[str, ...] = ("sgd", "nesterov", "adamw", "rmsprop")
    widths: tuple[int, int] = (6, 48)
    inputs: tuple[int, int] = (4, 128)
    depth: tuple[int, int] = (0, 5)
    outputs: tuple[int, int] = (2, 12)
    parameters: tuple[int, int] = (100, 8000)
    normalised: float = 0.5
    batch: tuple[int, int] = (8, 64)
    work: int = 400_000
    single_pass: float = 0.3
    samples: tuple[int, int] = (64, 2048)
    held_out: int = 96
    tables: float = 0.3
    label_noise: Range = (0.0, 0.35)
    clean: float = 0.5
    weight_scale: Range = (0.4, 2.0)
    momentum: tuple[float, ...] = (0.0, 0.5, 0.9, 0.95)
    beta1: tuple[float, ...] = (0.8, 0.9, 0.95)
    beta2: tuple[float, ...] = (0.95, 0.99, 0.999)
    shrink: Range = (1e-7, 1e-3)
    no_decay: float = 0.4
    clip: Range = (0.1, 3.0)
    clipped: float = 0.15
    lr_error: Range = (0.02, 50.0)

    def __post_init__(self) -> None:
        check_ranges(self, _ALLOWED, _SHARES)
        for name, known in (("classes", NETWORKS), ("optimizers", OPTIMIZERS)):
            if not getattr(self, name) or not set(getattr(self, name)) <= set(known):
                raise ValueError(f"{name} must be names of {', '.join(known)}, at least one, not {getattr(self, name)}")
        for name in ("momentum", "beta1", "beta2"):
            if not getattr(self, name) or not all(0 <= value < 1 for value in getattr(self, name)):
                raise ValueError(f"{name} must be numbers in [0, 1), at least one, not {getattr(self, name)}")
        if self.held_out < ALIGNED or self.held_out % ALIGNED or self.work < 1:
            raise ValueError(
                f"held_out must be a multiple of {ALIGNED}, and work at least 1, not {self.held_out} and {self.work}"
            )
