"""The tools and the dialogues of the protocol."""
