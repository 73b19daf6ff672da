"""Signing in to the sandbox."""
