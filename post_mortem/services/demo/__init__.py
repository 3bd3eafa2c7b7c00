"""The demo desk: a simulated market and trader, loaded and removed through the ordinary services."""
