"""The owner's secrets: their records, the store, the keyring, and files that only the owner may change."""
