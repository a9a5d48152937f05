"""What carries the server: the same code under uvicorn, under granian, and under a protocol of our own."""
