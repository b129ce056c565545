"""One family of architectures a file; `blocks`, `inception_blocks`, `chains`: what two share."""
