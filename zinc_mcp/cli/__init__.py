"""The commands a person types. Each module is loaded when its command runs."""
