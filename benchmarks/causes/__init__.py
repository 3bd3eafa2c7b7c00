"""Ground truth for causes: markets in which the reason of a loss was planted."""
