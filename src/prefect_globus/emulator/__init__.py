"""A local Globus: Transfer and Auth over real HTTP, with collections that are folders and tasks that move files."""
