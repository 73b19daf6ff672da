"""Cancellations, returns and cases of Zinc's v1."""
