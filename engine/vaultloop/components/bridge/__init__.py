"""Messengers: how messages come in and answers go out."""
