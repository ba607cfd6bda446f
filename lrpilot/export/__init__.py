"""Policies for other run-times: ONNX files, and replays of recorded runs."""
