"""A smaller network of a run: pruned, with shared weights, in a `.kac` file."""
