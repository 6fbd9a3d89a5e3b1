"""What commands that ended before their time left undone: records not sent, runs not closed."""

from __future__ import annotations

from pipelines.tracking.address import open_client
from pipelines.tracking.delivery import Delivery
from pipelines.tracking.driver import close_abandoned_runs
from pipelines.tracking.spool import left_behind, runs_left_behind

_SECONDS_A_RUN = 30.0


def look_after(address: str) -> None:
    """Send what waits on this machine for a store, and close the runs whose drivers are gone.

    Args:
        address: of a store that can be reached.
    """
    client = open_client(address)
    for run_id in runs_left_behind(address):
        spools = list(left_behind(address, run_id))
        if spools:
            delivery = Delivery(client, run_id, spools)
            delivery.wake()
            delivery.wait(_SECONDS_A_RUN)
            delivery.close()
    close_abandoned_runs(client)
