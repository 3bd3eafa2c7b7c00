"""Signals, trades and imports for programs."""
