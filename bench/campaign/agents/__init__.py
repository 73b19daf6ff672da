"""The agents, the hosts that they speak through, the people who answer questions, and the servers of a round."""
