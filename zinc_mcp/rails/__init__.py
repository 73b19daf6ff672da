"""Ways to buy: the journal's bytes on Zinc's wire."""
