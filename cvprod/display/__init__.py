"""What a reader sees: plots, tables, diagrams and listings of the real source."""
