"""What every chapter calls."""
