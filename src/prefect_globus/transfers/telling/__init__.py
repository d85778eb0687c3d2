"""Telling: what a person wants to know of a transfer, found in its record, put into words, and laid out as pages."""
