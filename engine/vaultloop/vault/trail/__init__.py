"""Looking back: who wrote a line, what a revision was, and taking back what a session did."""
