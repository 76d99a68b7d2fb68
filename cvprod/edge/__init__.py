"""What an edge device runs, and what its updates are made of; shared by chapter 4, `deploy/edge` and the phone apps.

`manifest`, `delta`, `update`: signed model updates with two slots and rollback. `loop`, `sources`, `journal`,
`watchdog`, `engine`: the inspection loop. `vectors`: what Kotlin and Swift check their preprocessing against.
`devices`: budgets of memory and energy. `fixedpoint`, `fpga`: a network in fixed point, for an FPGA. `arm`: the real
Arm wheel under emulation. Nothing here imports PyTorch at import time: a device does not have it.
"""
