"""What is done with a trained network to get another one."""
