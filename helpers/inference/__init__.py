"""Sampling, convergence, calibration and scores."""
