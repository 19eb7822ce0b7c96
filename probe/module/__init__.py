"""A probe of any network: what proxies read of a network of a space, read of one of one's own."""
