"""How good a network is, and why it says what it says."""
