"""The local backend: one process a slot, each in an executor of its own, so that a death is one row's alone."""
