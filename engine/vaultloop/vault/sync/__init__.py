"""Branch, folder and remote brought together, and which revision of them is to run."""
