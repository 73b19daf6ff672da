"""The rails, the two ways to buy: with a Zinc account, or paid by a wallet without an account."""
