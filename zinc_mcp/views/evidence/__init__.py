"""The evidence file of an order or a change, and the checks of one."""
