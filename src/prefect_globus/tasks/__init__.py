"""What flows are made of: open, scan, transfer one batch, finish."""
