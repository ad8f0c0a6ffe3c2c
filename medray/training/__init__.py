"""Tasks, losses, one training step, checkpoints and bundles."""
