"""Views of what may be bought: a search, and one product."""
