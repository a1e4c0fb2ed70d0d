"""Part III: media."""
