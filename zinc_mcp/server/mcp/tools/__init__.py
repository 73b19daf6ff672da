"""The tools, one file each: description, arguments, view and body."""
