"""The Transfer API v0.10: its operations and its documents (contract sections 1 to 6)."""
