"""The commands: each parses, calls and prints; the work is done elsewhere."""
