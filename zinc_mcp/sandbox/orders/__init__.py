"""The sandbox's orders, by an account and by an agent."""
