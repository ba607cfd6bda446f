"""lrpilot: learned learning-rate schedules that one can load and trust."""

from lrpilot.greedy import GreedyLR as GreedyLR
from lrpilot.learned import LearnedLR as LearnedLR
from lrpilot.policy import PolicyError as PolicyError
from lrpilot.policy import SchedulePolicy as SchedulePolicy
from lrpilot.policy import list_policies as list_policies
from lrpilot.policy import load_policy as load_policy
