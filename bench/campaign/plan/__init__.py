"""The plan: the wanted purchases and the faults that disturb them, drawn from a seed. A seed always gives one plan."""
