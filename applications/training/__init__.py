"""Training a network and writing its run folder."""
