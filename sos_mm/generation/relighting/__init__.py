"""Generative relighting of composed images: IC-Light, its use in recipes, and relighting of complete data sets."""
