"""The formats that annotated images are read from, a file each over `sos_mm.formats`."""
