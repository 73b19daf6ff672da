"""The forms of hosts' files: one part of a text is changed, and every other character stays."""
