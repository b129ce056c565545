"""What proposes the trials of a search and remembers them."""
