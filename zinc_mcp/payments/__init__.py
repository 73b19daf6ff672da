"""Payments: the challenge of a 402 is read and checked, and a wallet signs it. This room sends nothing to Zinc."""
