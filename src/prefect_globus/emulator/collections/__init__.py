"""Collections: what they hold, and that nothing leads out of them."""
