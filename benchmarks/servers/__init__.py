"""Millrace's server and its peers: the same model, the same requests, one core for the server."""
