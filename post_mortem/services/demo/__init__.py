"""The demo desk: a simulated market and trader, loaded through the ordinary services."""
