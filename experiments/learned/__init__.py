"""What a policy learned, made visible."""
