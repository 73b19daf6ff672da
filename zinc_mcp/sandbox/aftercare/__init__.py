"""The sandbox's returns and cases."""
