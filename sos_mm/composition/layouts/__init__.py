"""Layouts: priors that say where objects go in a new image, how large, and in which order."""
