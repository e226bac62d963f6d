"""What must never be forgotten: text that stands in every session of the scopes it is for."""
