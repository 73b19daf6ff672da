"""Views: what a model or a person is shown about an order. Nothing here sends anything."""
