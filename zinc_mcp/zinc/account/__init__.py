"""The account at Zinc, and signing in to it."""
