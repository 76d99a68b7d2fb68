"""The processes of the service: one that starts and replaces workers, and the workers."""
