"""Tasks: accepted, queued, worked on, ended (contract sections 3 and 4, task-behavior.txt)."""
