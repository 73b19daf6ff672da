"""What Zinc tells about products and shops."""
