"""Texts in an order: their letters and country codes."""
