"""The hosts: where each keeps its servers, and how this program gets there."""
