"""Maps: features in two dimensions, as pictures and as pages."""
