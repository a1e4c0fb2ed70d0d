"""The only place that reads and refuses a file."""
