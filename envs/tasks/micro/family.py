"""The family `universal`: micro networks, which one agent for networks of any kind practises on."""

from dataclasses import replace

from lrpilot.envs.data.datasets import load_dataset
from lrpilot.envs.family import Family
from lrpilot.envs.tasks.micro.problems import MicroProblems
from lrpilot.envs.tasks.micro.task import MicroTask
from lrpilot.envs.tasks.nets import family as nets

DESCRIPTION = """\
Choose the learning rate of training a small network of any kind, from a base LR that may be wrong.

## Description
A small network is trained by mini-batches: a perceptron, convolutions, embeddings, attention, a recurrence, a mixer or
an autoencoder, with SGD (with or without momentum, or Nesterov's), AdamW or RMSprop. Each episode is a new problem:
other class, widths, depth, normalisation, data, noise of the labels, scale of the initial weights, optimizer, weight
decay, size of the mini-batches, loss, and base LR, which is a guess that is wrong by up to `lr_error` either way.
Nothing bounds the LR. Most data are made up, some are real tables.

## Action Space
`Box(-1, 1, (1,), float32)`: with the default `Decisions` it changes the log of the LR's multiple of base LR and
linear decay by at most 1.5 at each decision. The multiple begins at exp(−5) and stays within exp(−10) and exp(7);
it falls by a factor of exp(3) at once when the loss is far above all before.

## Observation Space
`Box`, shape ({signals},), float32. Every entry is dimensionless: it stays the same when the loss or the unit of
the LR is rescaled. "Squashed" is asinh(100 x) / 2 of a difference of natural logs.

{observations}

The losses are those of the mini-batches, as a training loop sees them; the rewarded loss is never observed.

## Rewards
Decrease of the log of the loss on held-out samples over the interval. It telescopes: the return is that loss's
log at the start minus that at the end. A run that diverges pays `penalty` (2 nats) more.

## Starting State
A problem drawn from `MicroProblems`; the weights are fresh.

## Episode End
`terminated` after `decisions` decisions (60): the end of the budget is part of the problem and is observed
through progress. Also `terminated` when the held-out loss is not finite or has grown 10,000-fold. Never
`truncated`.

## Arguments
- `problems`: a `MicroProblems`, the distribution of problems.
- `decisions`: a `Decisions`: decisions a run, SGD steps between two, range of the action, penalty.
- `data`: names of data sets, see `lrpilot.envs.data.datasets`.

`info` holds `lr` and `base_lr` (per step) and `objective` (the held-out loss).

## Version History
- v0: first version.
"""

DECISIONS = replace(nets.DECISIONS, log_high=7.0, log_start=-5.0)

UNIVERSAL = Family(
    name="universal",
    problems=MicroProblems,
    task=MicroTask,
    load=load_dataset,
    decisions=DECISIONS,
    description=DESCRIPTION,
    summary="networks of any kind; LR as a multiple of your base LR, which may be wrong by a factor of 16",
    not_for=(
        "runs whose LR you can tune: a tuned schedule is at least as good; fine-tuning, where a small LR is the point; "
        "networks that overfit; loops that hide the gradients (zero_grad before the step of the scheduler, or no "
        "gradients at all): by losses alone it trusts your LR too much; runs of fewer than sixty steps; networks of "
        "more than about 10^5 parameters have not been tried"
    ),
    env_id="lrpilot/Micro-v0",
    at_once=16,
    evidence="lrpilot.experiments.plain_torch.evidence:PLAIN_TORCH",
)
