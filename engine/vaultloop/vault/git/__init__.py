"""Git objects and references, and the files in which git keeps them: read, written, locked and put right."""
