"""When a request is sent again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass

from milieu_client.errors import MilieuError, ServiceRefused, ServiceUnreachable

# Busy, or away for the moment. All else was refused for good, and would be again.
TRANSIENT = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Retries:
    """How often a request is tried, and how long to wait between.

    The n-th wait is `pause_s` · 2ⁿ seconds, less up to half of it at random, so that clients that
    were turned away together do not return together. Where the service says when to come back
    (`Retry-After`), it is that instead.

    Attributes:
        n_tries: requests in all, 1 or more; 1 never tries again.
        pause_s: the first wait, in seconds.
        max_pause_s: no wait is longer; where the service wants a longer one, its refusal is raised.
    """

    n_tries: int = 4
    pause_s: float = 0.5
    max_pause_s: float = 60.0

    def pause_before(
        self, n_tried: int, error: MilieuError, *, is_repeatable: bool
    ) -> float | None:
        """Return the seconds to wait after `n_tried` tries that ended in `error`; None to give up.

        What is not repeatable, because it changes something, is never sent again.
        """
        if n_tried >= self.n_tries or not is_repeatable:
            return None
        wanted = None
        if isinstance(error, ServiceRefused):
            if error.status not in TRANSIENT:
                return None
            wanted = error.retry_after_s
        elif not isinstance(error, ServiceUnreachable):
            return None
        if wanted is not None:
            return wanted if wanted <= self.max_pause_s else None
        pause_s = min(self.pause_s * 2.0 ** min(n_tried - 1, 64), self.max_pause_s)
        return pause_s * random.uniform(0.5, 1.0)


NO_RETRIES = Retries(n_tries=1)
