"""Text to ids and back: tokenizers that are learned here and those of released models."""
