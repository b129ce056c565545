"""What is done with a run that is finished: it is compressed, exported and served."""
