"""Readers: each lists the segments of one kind of source and leaves their pixels on disk."""
