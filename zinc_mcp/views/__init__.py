"""What a reader is told about an order. Sends nothing."""
