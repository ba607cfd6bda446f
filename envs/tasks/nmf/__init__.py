"""Stochastic non-negative matrix factorisation."""
