"""Globus Timers: transfers that are submitted once at a time, or again and again (contract section 7)."""
