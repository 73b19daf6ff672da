"""The agents, the hosts through which they call, the people who answer questions, and the servers of a round."""
