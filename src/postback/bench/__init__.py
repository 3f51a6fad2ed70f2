"""How fast this machine delivers: a server, receivers and load, each in a process of its own, on loopback only."""
