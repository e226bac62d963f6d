"""What the agent remembers: tiers of notes, who reads them, and what happens when one is full."""
