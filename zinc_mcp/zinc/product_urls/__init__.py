"""Addresses of product pages: read them once, for comparing, for the policy and for display."""
