"""File formats of annotations, one module each: reading, encoding and checks of records. Imports no other folder."""
