"""The server as an OAuth resource server: access tokens of one issuer, and what clients are told about them."""
