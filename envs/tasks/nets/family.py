"""The families of networks: `cnn` and `nlp`."""

from collections.abc import Callable

from lrpilot.envs.data.datasets import load_dataset
from lrpilot.envs.family import Family
from lrpilot.envs.process import Decisions
from lrpilot.envs.tasks.nets.problems import NetProblems
from lrpilot.envs.tasks.nets.task import NetTask

DESCRIPTION = """\
## Description
A network is trained on real data by mini-batches, with SGD (with or without momentum, or Nesterov's) or AdamW.
Each episode is a new problem: other data set, subset, noise of the labels, architecture, width, depth,
normalisation, scale of the initial weights, optimizer, momentum, weight decay, size of the mini-batches, and
base LR, which is wrong by up to `lr_error` either way. Nothing bounds the LR.

## Action Space
`Box(-1, 1, (1,), float32)`: with the default `Decisions` it changes the log of the LR's multiple of base LR and
linear decay by at most 1.5 at each decision. The multiple begins at exp(−6) and stays within exp(−10) and exp(5.5);
it falls by a factor of exp(3) at once when the loss is far above all before.

## Observation Space
`Box`, shape ({signals},), float32. Every entry is dimensionless: it stays the same when the loss or the unit of
the LR is rescaled. "Squashed" is asinh(100 x) / 2 of a difference of natural logs.

{observations}

The losses are those of the mini-batches, as a training loop sees them; the rewarded loss is never observed.

## Rewards
Decrease of the log of the loss on held-out samples over the interval. It telescopes: the return is that loss's
log at the start minus that at the end. A run that diverges pays `penalty` (2 nats) more. The samples of the test part
can't be reached from here.

## Starting State
A problem drawn from `NetProblems`; the weights are fresh.

## Episode End
`terminated` after `decisions` decisions (60): the end of the budget is part of the problem and is observed
through progress. Also `terminated` when the held-out loss is not finite or has grown 10,000-fold. Never
`truncated`.

## Arguments
- `problems`: a `NetProblems`, the distribution of problems.
- `decisions`: a `Decisions`: decisions a run, SGD steps between two, range of the action, penalty.
- `data`: names of data sets, see `lrpilot.envs.data.datasets`.

`info` holds `lr` and `base_lr` (per step) and `objective` (the held-out loss).

## Version History
- v0: first version.
"""

# The base LR is a guess, so the agent begins far below it and changes the LR step by step; nothing bounds it.
DECISIONS = Decisions(
    60,
    (4,),
    action="multiple_of_base",
    anchor="linear",
    log_low=-10.0,
    log_high=5.5,
    max_change=1.5,
    log_start=-6.0,
    spike_guard=3.0,
    guard="off",
    penalty=2.0,
)
TUNED = "runs whose LR you can tune: a tuned schedule is better still; "
NETWORKS = (
    "fine-tuning, where a small LR is the point; "
    "runs of fewer than 180 steps; networks of more than about 10^5 parameters have not been tried"
)
GUESSED = "LR as a multiple of your base LR, which may be wrong by a factor of 16; reads "
GRADIENTS = "losses, and gradients and weights where it can"


def _family(name: str, env: str, what: str, problems: Callable[[], NetProblems], summary: str, not_for: str) -> Family:
    return Family(
        name=name,
        problems=problems,
        task=NetTask,
        load=load_dataset,
        decisions=DECISIONS,
        description=f"Choose the learning rate of training {what}, from a base LR that may be wrong.\n\n{DESCRIPTION}",
        summary=summary,
        not_for=not_for,
        env_id=env,
        recipe="lrpilot.configs.recipe:NetRecipe",
        evidence="lrpilot.experiments.evidence:NETWORKS",
    )


CNN = _family(
    "cnn",
    "lrpilot/CNN-v0",
    "a small convolutional network",
    lambda: NetProblems(data=("digits", "mnist", "mnist1d"), architectures=("cnn", "resnet")),
    f"convolutional networks on images and signals; {GUESSED}{GRADIENTS}",
    "loops that hide the gradients (zero_grad before the step of the scheduler), if the base LR may be 4 times too "
    "high or more: by losses alone 5 of 96 such runs diverged on test networks; " + NETWORKS,
)
NLP = _family(
    "nlp",
    "lrpilot/NLP-v0",
    "a small network on text",
    lambda: NetProblems(data=("docstrings", "manual"), architectures=("byte_cnn", "gru", "transformer")),
    f"networks on text; {GUESSED}{GRADIENTS}",
    TUNED + NETWORKS,
)
