"""AUDIO: sound as log-mel frames, in and out."""
