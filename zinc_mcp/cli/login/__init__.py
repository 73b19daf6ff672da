"""The commands about keys and wallets: sign in, keep a secret, and forget it."""
