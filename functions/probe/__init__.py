"""The release's last check: whether a caller meets the new model, through every API and with a token."""
