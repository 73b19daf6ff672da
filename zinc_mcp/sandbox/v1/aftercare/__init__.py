"""Changes of placed orders at the practised Zinc v1: cancellations, returns and cases."""
