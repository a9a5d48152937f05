"""The release's last check: whether a caller meets the new model, through the API and with a token."""
