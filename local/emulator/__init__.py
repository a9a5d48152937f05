"""What Millrace adds to MiniStack: a module per service, each with a function ``install``."""
