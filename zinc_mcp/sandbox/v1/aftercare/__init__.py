"""What the practised Zinc v1 changes after an order: cancellations, returns and cases."""
