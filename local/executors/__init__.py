"""Run what jobs are made of on this machine: Spark, training, and processing containers."""
