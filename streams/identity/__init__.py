"""Identity: to whom each identifier belongs, and how what came under it gets there."""
