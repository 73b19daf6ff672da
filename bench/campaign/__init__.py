"""The fault campaign, in three parts: `plan`, `agents` and `judge`.

`plan` draws from a seed the wanted purchases and the faults that disturb each. `agents` are the hosts, the people and
the servers that play the plan, with real processes, sockets and signals. `judge` reads Zinc's ledger, the journals and
all answers that the agents got, and counts each broken promise. `run` plays the rounds and has them judged; `coverage`
counts the faults that were met at each step. The command is `python -m bench.faults`.

Rounds about orders after their purchase have modules of their own: `plan.after_sale`, `agents.after_sale`,
`judge.after_sale` with `judge.after_evidence` and `judge.told`, and `after_sale`, which plays the rounds. Rounds of
questions about products have `plan.look_up`, `agents.look_up`, `judge.look_up` and `look_up`.
"""
