"""The sandbox's answers about products and shops."""
