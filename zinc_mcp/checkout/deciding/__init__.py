"""A person's decision about a question: which questions wait, taking a decision, and sending what was approved."""
