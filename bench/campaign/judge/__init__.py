"""The judge: it finds broken promises from Zinc's own ledger, the journals and the answers of the tools.

It shares no code with the program that it judges. It knows SQL, JSON, the plan and the names of the sandbox's faults.
"""
