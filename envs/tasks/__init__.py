"""What is being trained: each task runs B training problems side by side in one batch of tensors."""
