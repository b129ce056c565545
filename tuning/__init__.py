"""Search spaces, budgets and searches over the architectures of `keras_archs`."""
