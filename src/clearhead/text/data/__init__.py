"""Files to batches of ids: sources, decoding, the token cache, windows."""
