"""The checks in the transactions that open, approve and send an entry."""
