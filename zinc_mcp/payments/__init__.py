"""Payments: read what a 402 asks, check it, and have a wallet sign it. Nothing here sends anything to Zinc."""
