"""The plan: what is to be bought and what goes wrong with it, drawn from a seed, the same for the same seed."""
