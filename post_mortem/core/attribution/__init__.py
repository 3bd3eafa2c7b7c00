"""What goes with winning and losing: features known at the entry, and what they tell."""
