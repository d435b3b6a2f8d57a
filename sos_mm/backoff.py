"""Computes the wait before a request is sent again."""

import hashlib
import math
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

LONGEST_PAUSE = 60.0


def pause(first: float, retry: int, key: str) -> float:
    """Computes the seconds to wait before a retry: doubled each time, up to a minute, minus a jitter of up to a half.

    The jitter depends on the key and the retry, so that clients that failed together do not retry together.

    Args:
        first: Seconds before the first retry, without jitter.
        retry: Number of the retry, from 0.
        key: Key of the request.
    """
    share = hashlib.blake2b(f"{key} {retry}".encode(), digest_size=1).digest()[0] / 255
    return min(first * 2.0 ** min(retry, 30), LONGEST_PAUSE) * (1 - share / 2)


def retry_after(header: str | None, now: datetime | None = None) -> float:
    """Parses a Retry-After header, a number or a date (RFC 9110, 10.2.3), to seconds; 0 if it is neither."""
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except (TypeError, ValueError):
            return 0.0
        date = date if date.tzinfo else date.replace(tzinfo=timezone.utc)
        seconds = (date - (now or datetime.now(timezone.utc))).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0
