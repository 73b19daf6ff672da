"""The hosts, the files in which they keep their servers, and the changes that this program makes there."""
