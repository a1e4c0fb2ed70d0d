"""The machine that executes the notebooks and renders the book."""
