"""Chat templates and the process they run in."""
