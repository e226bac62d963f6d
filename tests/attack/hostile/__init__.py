"""The program that runs in a cell in the place of the model, and tries everything.

It is told the names, process ids and ports of what it must not reach: a fence that holds only as long as
nobody knows them is none. Standard library only, so that any interpreter in the cell runs it.
"""
