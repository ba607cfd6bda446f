"""Micro networks: many small networks of one class, trained side by side in one set of kernels."""
