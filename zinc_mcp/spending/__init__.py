"""The proofs that an answer and a payment give, and the one place from which a credential leaves."""
