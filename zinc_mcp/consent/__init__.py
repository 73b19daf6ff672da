"""The questions that a person is asked, and the cases that need a yes."""
