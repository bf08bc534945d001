"""Foreign text and files -> Document, templates -> Document, Document -> positions (layout)."""
