"""The build of the server's image during a deploy: nobody who deploys needs Docker."""
