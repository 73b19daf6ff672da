"""Zinc's nouns and endpoints. Knows HTTP and nothing else."""
