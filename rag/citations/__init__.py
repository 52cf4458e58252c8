"""Citations: markers, statements, and the numbers that readers see."""
