"""The fault campaign, in three parts: `plan`, `agents` and `judge`.

`plan` draws from a seed what is to be bought and what goes wrong with it. `agents` are the hosts, the people and the
servers that play it: real processes, sockets and signals. `judge` reads Zinc's ledger, the journals and all that the
agents were told, and counts each broken promise. `run` plays the rounds and has them judged; `coverage` counts which
faults were met at which step. The command is `python -m bench.faults`.

Orders after their purchase have a part of each as well: `plan.after_sale`, `agents.after_sale`, `judge.after_sale` with
`judge.after_evidence` and `judge.told`, and `after_sale`, which plays the rounds.
"""
