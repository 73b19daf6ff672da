"""What the journal records: entries, their money, decisions and times. No SQL."""
