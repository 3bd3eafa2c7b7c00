"""Readers of market data and trades: one file a format, pure, no database."""
