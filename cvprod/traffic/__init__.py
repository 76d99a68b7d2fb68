"""What arrives at a service: schedules, load generators, clients, hostile files, and queueing theory."""
