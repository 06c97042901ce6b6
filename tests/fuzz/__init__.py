"""Damaged and hostile input, hundreds of cases of it, through the real command line."""
