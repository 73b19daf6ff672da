"""What may still be changed after an order was placed. Only this room changes a placed order; it never buys."""
