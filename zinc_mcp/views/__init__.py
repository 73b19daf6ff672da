"""Views: the facts and sentences that a model or a person is shown. This room sends nothing."""
