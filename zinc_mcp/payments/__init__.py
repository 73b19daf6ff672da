"""What a 402 asks and how it is paid: it signs, it never sends anything to Zinc."""
