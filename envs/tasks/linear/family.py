"""The family `linear`."""

from lrpilot.envs.data.labelled import load_labelled
from lrpilot.envs.family import Family
from lrpilot.envs.process import Decisions
from lrpilot.envs.tasks.linear.problems import LinearProblems
from lrpilot.envs.tasks.linear.task import LinearTask

DESCRIPTION = """\
Choose the learning rate of fine-tuning a linearised network.

## Description
A small network (fully connected or convolutional, leaky ReLU, pre-trained on half of the classes of a real data
set) is replaced by its first-order expansion and fine-tuned to other classes with a squared loss and mini-batch
SGD. The loss is then a quadratic whose Hessian never changes, and 2/λ_max is exactly where full-batch steps stop
being stable; for mini-batches the agent's bound is 2/L, the largest LR known to be stable in mean square
(`lrpilot.theory.minibatch_smoothness`). Every few steps the agent sets the LR as a share of it. Each episode is a
new problem: other network, classes, examples, label noise, weight decay, units and size of the mini-batches.

## Action Space
`Box(-1, 1, (1,), float32)`, on a log scale: with the default `Decisions`, −1 is exp(−5) times the bound and 1
is the bound. The share is held for `steps` SGD steps.

## Observation Space
`Box`, shape ({signals},), float32. Every entry is dimensionless: it stays the same when the data, the loss or the
unit of the LR is rescaled. "Squashed" is asinh(100 x) / 2 of a difference of natural logs.

{observations}

The losses are those of the mini-batches, as a training loop sees them; the full objective is never observed.

## Rewards
Decrease of log(f − f*) over the interval, f the full training loss and f* its minimum: what the LR can change. It
telescopes: the return is the log of f − f* at the start over that at the end. A run that diverges pays `penalty`
(5 nats) more.

## Starting State
A problem drawn from `LinearProblems`; the weights are the pre-trained ones.

## Episode End
`terminated` after `decisions` decisions (40): the end of the budget is part of the problem and is observed
through progress. Also `terminated` when f − f* is not finite or has grown 10,000-fold. Never `truncated`.

## Arguments
- `problems`: a `LinearProblems`, the distribution of problems.
- `decisions`: a `Decisions`: decisions a run, SGD steps between two, range of the action, guard, penalty.
- `data`: names of labelled data sets, see `lrpilot.envs.data.labelled`; digits, faces and wine if empty.

`info` holds `lr` and `bound` (per step) and `objective` (f − f*).

## Version History
- v0: first version.
"""

LINEAR = Family(
    name="linear",
    problems=LinearProblems,
    task=LinearTask,
    load=load_labelled,
    decisions=Decisions(),
    description=DESCRIPTION,
    summary="fine-tuning of linearised networks with a squared loss; LR as a fraction of a stability bound "
    "(2 / lrpilot.theory.minibatch_smoothness); reads losses, and gradients and weights where it can",
    not_for="networks that are not linearised, unless a bound on their sharpness is given and the run is short; "
    "any loss without a stability bound",
    env_id="lrpilot/Linear-v0",
    evidence="lrpilot.experiments.evidence:LINEAR",
)
