"""How to train: one recipe a paper, and the default one."""
