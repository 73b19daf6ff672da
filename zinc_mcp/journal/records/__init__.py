"""The records of the journal: entries, their money, decisions and times. No SQL."""
