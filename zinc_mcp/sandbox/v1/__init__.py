"""Zinc v1 (`api.zinc.io/v1`) in the sandbox, under `/v1`: the documents of facts, section 19, as a practice service."""
