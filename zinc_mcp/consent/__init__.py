"""What a person is asked, and when a yes is due."""
