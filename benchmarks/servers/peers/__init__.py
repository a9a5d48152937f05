"""The servers that Millrace's is compared with; each runs in an environment of its own.

Nothing in here imports the rest of Millrace.
"""
