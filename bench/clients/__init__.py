"""Real clients, without a model: each in its own environment, against a real server of ours."""
