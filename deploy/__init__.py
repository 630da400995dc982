"""How the platform runs: the local embedded stack, compose, Kubernetes, and the settings of what stands around it."""
