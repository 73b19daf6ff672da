"""What an answer and a payment prove, and the one place from which a credential leaves."""
