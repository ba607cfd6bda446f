"""Gymnasium environments in which an agent learns to set a learning rate; registered on import.

`tasks/` holds what is being trained, `process` the decision process around it, and `gym_env`, `vector_env` and
`sb3_env` are thin shells over that one process. `data` has the real matrices.
"""

from gymnasium.envs.registration import register, registry

from lrpilot.envs.process import Decisions as Decisions
from lrpilot.envs.tasks.nmf_problems import NMFProblems as NMFProblems

if "lrpilot/NMF-v0" not in registry:
    register(
        "lrpilot/NMF-v0",
        entry_point="lrpilot.envs.gym_env:NMFEnv",
        vector_entry_point="lrpilot.envs.vector_env:NMFVectorEnv",
    )
