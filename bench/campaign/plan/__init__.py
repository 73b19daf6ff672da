"""What the campaign wants bought and what goes wrong with it, drawn from a seed: the same for the same seed."""
