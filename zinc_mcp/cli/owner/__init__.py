"""The owner's commands: policy and limits, addresses, members, accounts at retailers, messages, events, the journal."""
