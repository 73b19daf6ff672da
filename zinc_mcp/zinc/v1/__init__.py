"""Zinc's older API, v1: orders by a retailer's own product numbers, asked for with a client token."""
