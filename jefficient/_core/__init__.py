"""What every room stands on: errors, checks, dtype-safe arithmetic, trees, signatures."""
