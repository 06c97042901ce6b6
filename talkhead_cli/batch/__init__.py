"""Batches: a manifest of rows, rendered by a pool of workers that may die, be stopped and go on."""
