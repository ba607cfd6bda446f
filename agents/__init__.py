"""Training of schedule policies by PPO: problem sets, training with resume, evaluation, export."""
