"""Zinc's API: its requests, its answers, addresses of people and of products."""
