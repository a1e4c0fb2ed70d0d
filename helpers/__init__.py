"""Simulators, loaders, plots and the build of Bayesian Market Models."""
