"""Readers of annotated images, one module for each format, based on `sos_mm.formats`."""
