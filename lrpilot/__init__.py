"""lrpilot: learned learning-rate schedules that one can load and trust."""

from importlib.metadata import version

from lrpilot.card import PolicyError
from lrpilot.policy import SchedulePolicy, list_policies, load_policy
from lrpilot.schedulers.greedy import GreedyLR
from lrpilot.schedulers.learned import LearnedLR

__all__ = ["GreedyLR", "LearnedLR", "PolicyError", "SchedulePolicy", "list_policies", "load_policy"]
__version__ = version("lrpilot")
