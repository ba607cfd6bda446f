"""Small networks in training."""
