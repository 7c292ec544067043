"""The generalist: our encoder-decoder on packed tokens."""
