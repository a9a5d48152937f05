"""Settles in an account what docs/unproved.md lists as observed: python -m tests.smoke_aws --env dev.

It reads what is deployed and what has run, calls the API, and asks Athena one question. It changes nothing.
"""
