"""The server as an OAuth resource server: access tokens of one issuer, and the answers that tell clients about them."""
