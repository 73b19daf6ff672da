"""What may still be changed about a placed order: returns, and cases with Zinc's support."""
