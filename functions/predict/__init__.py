"""The prediction API's function: API Gateway events in, probabilities out."""
