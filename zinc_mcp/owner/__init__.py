"""What the owner configured and allows."""
