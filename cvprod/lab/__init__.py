"""What the notebooks need and production does not: plots, diagrams, load, the hardware-cell runner."""
