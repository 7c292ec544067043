"""TEXT: words, in and out."""
