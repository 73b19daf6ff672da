"""The rules of the practised Zinc v1: codes, products, the form of an order, its price and its course."""
