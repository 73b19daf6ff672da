"""Postal addresses: read, compared and printed, and the tables for it."""
