"""What Zinc tells about placed orders: their lists and milestones."""
