"""Errors that the command line reports in one line, each with its exit code."""


class BuildError(Exception):
    """A notebook or a page failed (exit code 1)."""


class UsageError(Exception):
    """The command asks for what does not exist (exit code 2)."""
