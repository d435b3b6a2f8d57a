"""Foreground colours of cut-out photographs: those of `sos_mm.segments.foreground`, under their public names."""

from sos_mm.segments.foreground import check_image_and_alpha, cut_out, estimate_foreground, put_on

__all__ = ["check_image_and_alpha", "cut_out", "estimate_foreground", "put_on"]
