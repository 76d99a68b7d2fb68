"""Real programs, started on loopback for a while and stopped again: the service, proxies, other people's servers."""
