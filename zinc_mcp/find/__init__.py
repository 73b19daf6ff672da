"""Products looked up before they are bought."""
