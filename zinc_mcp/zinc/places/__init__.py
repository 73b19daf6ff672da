"""Postal addresses: when two are one person at one place, and how a person reads them."""
