"""Zinc's endpoints about products and shops."""
