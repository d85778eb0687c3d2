"""Globus Auth: who may have which token, and what a token stands for (contract section 8)."""
