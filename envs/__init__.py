"""Gymnasium environments in which an agent learns to set a learning rate; registered on import.

`tasks/` holds what is being trained, `process` the decision process around it, and `gym_env`, `vector_env` and
`sb3_env` are thin shells over that one process. `families` lists the tasks; `data` and `labelled_data` have the real
matrices and the real labelled samples.
"""

from gymnasium.envs.registration import register, registry

from lrpilot.envs.process import Decisions as Decisions
from lrpilot.envs.tasks.linear_problems import LinearProblems as LinearProblems
from lrpilot.envs.tasks.net_problems import NetProblems as NetProblems
from lrpilot.envs.tasks.nmf_problems import NMFProblems as NMFProblems

for _name in ("NMF", "Linear", "CNN", "NLP"):
    if f"lrpilot/{_name}-v0" not in registry:
        register(
            f"lrpilot/{_name}-v0",
            entry_point=f"lrpilot.envs.gym_env:{_name}Env",
            vector_entry_point=f"lrpilot.envs.vector_env:{_name}VectorEnv",
        )
