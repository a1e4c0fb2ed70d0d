"""Part I: cities."""
