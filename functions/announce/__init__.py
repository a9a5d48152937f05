"""A custom resource: when a deploy changes the predict function, the release machine is told."""
