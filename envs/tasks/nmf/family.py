"""The family `nmf`."""

from lrpilot.envs.data.matrices import load_matrix
from lrpilot.envs.family import Family
from lrpilot.envs.process import Decisions
from lrpilot.envs.tasks.nmf.problems import NMFProblems
from lrpilot.envs.tasks.nmf.task import NMFTask

DESCRIPTION = """\
Choose the learning rate of stochastic non-negative matrix factorisation.

## Description
Projected SGD minimises f(W, H) = ½‖WH − X‖²_F over W, H ≥ 0, where only a noisy gradient is known: random
mini-batches of columns, plus additive noise of constant variance, so that a noise floor exists. Every few
steps the agent sets the LR as a share of a proved stability bound (`lrpilot.theory.NMFBound`). Each episode is
a new problem: other data, shape, rank, scale, conditioning, noise and initialisation.

## Action Space
`Box(-1, 1, (1,), float32)`, on a log scale: with the default `Decisions`, −1 is exp(−5) times the bound and 1
is the bound. The share is held for `steps` SGD steps while the bound follows W and H.

## Observation Space
`Box`, shape ({signals},), float32. Every entry is dimensionless: it stays the same when the data, the loss or the
unit of the LR is rescaled. "Squashed" is asinh(100 x) / 2 of a difference of natural logs.

{observations}

The losses are those of the mini-batches, as a training loop sees them; the full objective is never observed.

## Rewards
Decrease of log f over the interval, f the full objective without noise. It telescopes: the return is
log(f at the start) − log(f at the end). A run that diverges pays `penalty` (5 nats) more.

## Starting State
A problem drawn from `NMFProblems`; W and H uniform, scaled to between a tenth and three times the data.

## Episode End
`terminated` after `decisions` decisions (40): the end of the budget is part of the problem and is observed
through progress. Also `terminated` when f is not finite or has grown 10,000-fold. Never `truncated`.

## Arguments
- `problems`: an `NMFProblems`, the distribution of problems.
- `decisions`: a `Decisions`: decisions a run, SGD steps between two, range of the action, guard, penalty.
- `data`: names or `.npy` paths of real matrices to crop problems from, see `lrpilot.envs.data.matrices`.

`info` holds `lr` and `bound` (per step) and `objective` (f).

## Version History
- v0: first version.
"""

NMF = Family(
    name="nmf",
    problems=NMFProblems,
    task=NMFTask,
    load=load_matrix,
    decisions=Decisions(),
    description=DESCRIPTION,
    summary="stochastic NMF; LR as a fraction of a stability bound (lrpilot.theory.NMFBound); "
    "reads losses, and gradients and weights where it can",
    not_for="training neural networks, or any loss without a stability bound; large, badly scaled matrices under "
    "strong additive gradient noise, where it lowers the LR too early",
    env_id="lrpilot/NMF-v0",
    recipe="lrpilot.configs.recipe:NMFRecipe",
    evidence="lrpilot.experiments.evidence:NMF",
)
