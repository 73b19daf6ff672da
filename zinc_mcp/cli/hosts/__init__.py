"""The commands about hosts: this server in their files, and the links that add it."""
