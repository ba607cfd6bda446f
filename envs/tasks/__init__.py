"""What is being trained: each task runs B training problems side by side in one batch of tensors."""

from lrpilot.envs.tasks.base import AbstractTask as AbstractTask
from lrpilot.envs.tasks.nmf import NMFTask as NMFTask
from lrpilot.envs.tasks.nmf_problems import NMFProblems as NMFProblems
