"""Which of the engines at one remote acts."""
