"""What Millrace adds to MiniStack, a module per service. ``install`` puts all of it in place."""
