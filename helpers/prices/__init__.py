"""Part II: prices."""
