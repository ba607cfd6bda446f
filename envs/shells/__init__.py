"""Gymnasium, Gymnasium vector and Stable-Baselines3 environments over one batched decision process."""
