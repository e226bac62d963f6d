"""Views: the folders that sessions work in, and what becomes of what they leave there."""
