"""Gives the tests of this folder their fixtures."""

from support.world import emulator_options, world

__all__ = ["emulator_options", "world"]
