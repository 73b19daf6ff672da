"""The commands about what the owner allows and saves: policy, limits, addresses, messages."""
