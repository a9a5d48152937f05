"""Hyperparameter search and ad hoc training through SageMaker's Python SDK.

The SDK is large, slow to import and pins packages that the command line needs otherwise, so this package runs
in an environment of its own (`make setup-tuning`), as a child of `millrace tune` and `millrace experiment`:
a plan comes in on standard input, jobs are created, and their names go out.
"""
