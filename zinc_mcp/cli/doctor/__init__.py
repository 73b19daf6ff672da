"""The doctor: it prints the configuration, and checks everything that an order needs."""
