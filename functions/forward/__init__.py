"""The way from the endpoint's API to the SageMaker endpoint and back: passed on, not understood."""
