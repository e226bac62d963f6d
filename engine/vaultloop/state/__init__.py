"""What must survive kill -9: one SQLite file, and one module for each thing that is remembered in it.

Here belongs every fact that is neither in git nor in a note: which message was taken, which slot was
reserved, what was applied, what was answered. Here does not belong a decision: stores answer questions and
make one change in one transaction.
"""
