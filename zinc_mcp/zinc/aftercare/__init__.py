"""Changes of placed orders at Zinc: cancellations, returns and cases."""
