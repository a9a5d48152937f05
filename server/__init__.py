"""One process that answers over HTTP by the very code of the prediction function."""
