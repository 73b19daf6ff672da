"""Who takes part in a round: the hosts with their agents, the people who answer questions, and the servers."""
