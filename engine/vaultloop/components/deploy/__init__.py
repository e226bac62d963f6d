"""What to redeploy when what changes."""
