"""Backgrounds: photographs, and procedural ones."""
