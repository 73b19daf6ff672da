"""Zinc v1 (`api.zinc.io/v1`) in the sandbox, under `/v1`. Section numbers in this package are those of our Zinc facts.

Orders, and everything about placed orders, are here. Addresses of webhooks are accepted and never called. The product
data of v1 and the relaxed form of its orders (19.4) are not here.
"""
