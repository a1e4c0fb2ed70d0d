"""Part IV: stores."""
