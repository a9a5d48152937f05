"""One module for each command; `cli.main` names them and loads the one that is called."""
