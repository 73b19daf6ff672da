"""What a host and a model see: the tools, their results, and the transports."""
