"""The journals of the campaign's rounds. Their own database records each change, and they can be made to fail."""
