"""Gymnasium environments in which an agent learns to set a learning rate; registered on import.

`tasks/` holds what is being trained, `process` the decision process around it, and `shells/` thin shells over that one
process. `families` lists the families of tasks, and `data/` has the real data.
"""

from gymnasium.envs.registration import register, registry

from lrpilot.envs.families import FAMILIES
from lrpilot.envs.process import Decisions as Decisions
from lrpilot.envs.shells.gym_env import AbstractScheduleVectorEnv, env_class
from lrpilot.envs.tasks.linear.problems import LinearProblems as LinearProblems
from lrpilot.envs.tasks.micro.problems import MicroProblems as MicroProblems
from lrpilot.envs.tasks.nets.problems import NetProblems as NetProblems
from lrpilot.envs.tasks.nmf.problems import NMFProblems as NMFProblems

for _family in FAMILIES.values():
    if _family.env_id and _family.env_id not in registry:
        _vector = env_class(_family, AbstractScheduleVectorEnv)
        register(_family.env_id, entry_point=env_class(_family), vector_entry_point=_vector)
