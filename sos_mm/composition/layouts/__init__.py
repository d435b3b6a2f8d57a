"""Layout priors: positions, sizes and depth order of the objects in a new image."""
