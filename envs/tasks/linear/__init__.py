"""Fine-tuning of linearised networks."""
