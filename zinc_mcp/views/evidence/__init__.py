"""The evidence file of an order or a change, and what it proves."""
