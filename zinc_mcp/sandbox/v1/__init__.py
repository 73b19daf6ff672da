"""Zinc v1 (`api.zinc.io/v1`) in the sandbox, under `/v1`.

Orders, and everything about placed orders, are here. Addresses of webhooks are accepted and never called. The product
data of v1 are not here, and neither is the form of an order that needs only products and an address.

Docstrings in this package name pages of Zinc's documents. The newer pages stand under www.zinc.com/docs; the older
pages are the repository zincio/apidocs, last changed in February 2025.
"""
