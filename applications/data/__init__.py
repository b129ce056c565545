"""Images: where they come from, how they are read, and the batches that a training sees."""
