"""Learned and greedy schedules as torch schedulers."""
