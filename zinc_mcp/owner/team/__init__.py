"""The members of a team, as their file keeps them."""
