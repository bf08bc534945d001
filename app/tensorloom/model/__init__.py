"""Documents and what they are made of: gesture -> Command -> Document. Standard library only."""
