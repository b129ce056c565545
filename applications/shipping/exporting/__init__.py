"""A run's network as a file for another runtime, compared with the run on its test images."""
