"""Postal addresses: compare two of them, and print one for a person."""
