"""The plain_torch benchmark: learned schedules on networks that no policy practised on, against tuned ones.

Networks in plain torch, trained as people write it, scored by held-out loss. Every run is kept as a cell of a store, so
that nothing is computed twice. The commands: python -m lrpilot.experiments.plain_torch --help. From Python:
`lrpilot.experiments.plain_torch.report.report`.
"""
