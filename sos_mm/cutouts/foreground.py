"""Keeps the public names of `sos_mm.segments.foreground` where code from outside the project imports them."""

from sos_mm.segments.foreground import check_image_and_alpha, cut_out, estimate_foreground, put_on

__all__ = ["check_image_and_alpha", "cut_out", "estimate_foreground", "put_on"]
