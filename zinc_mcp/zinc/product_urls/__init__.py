"""Addresses of products: one reading for comparing, for the policy and for display."""
