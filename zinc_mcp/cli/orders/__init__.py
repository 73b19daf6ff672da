"""The commands about orders: list, show, decide, export, prove and compare them."""
