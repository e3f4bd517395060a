"""When a pause or a hold is over, by the database's clock. SQL conditions over ``chunk`` and ``job``.

The clock may be set back. What was given by the old one would then last until the new one has caught up, for hours if
need be. Nothing of ours reaches further ahead than a quarter of an hour (``YEBAN_LEASE_S`` is bounded accordingly), so
what does is over as well. The sweep says the same of leases and hints.
"""

from __future__ import annotations

#: Whether nobody is ending the job.
END_IS_FREE = "(ender_until IS NULL OR ender_until < now() OR ender_until > now() + interval '15 minutes')"
#: Whether a deleted job was hidden longer than ``:grace_s`` seconds ago.
GRACE_OVER = "(deleted_at <= now() - make_interval(secs => :grace_s) OR deleted_at > now() + interval '15 minutes')"
#: Whether a chunk's pause after a failure is over.
PAUSE_OVER = "(not_before IS NULL OR not_before <= now() OR not_before > now() + interval '15 minutes')"
