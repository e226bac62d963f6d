"""What the agent does where no other note says otherwise: one note, handed to the sessions."""
