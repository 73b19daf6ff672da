"""Real clients, without a model: each in an environment of its own, against a real server of ours."""
