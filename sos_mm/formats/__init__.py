"""File formats of annotations, one file each: reading, encoding and checks of records. Imports no other room."""
