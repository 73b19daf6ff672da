"""Zinc's endpoints about placed orders: their lists and milestones."""
