"""Into how many equal shares a global batch is divided."""

from __future__ import annotations


def num_workers(batch_size: int, fewest: int, most: int, room: int) -> int | None:
    """How many workers train: as many as there is room for and the global batch can be divided among evenly.

    Equal shares are what makes the mean over workers the mean over the batch.

    Args:
        batch_size: of the global batch.
        fewest, most: the bounds of the settings.
        room: for how many the cluster has resources.

    Returns:
        None where there is no such number.
    """
    fitting = range(max(fewest, 1), min(most, room, batch_size) + 1)
    return max((count for count in fitting if batch_size % count == 0), default=None)


def batch_problem(batch_size: int, fewest: int, most: int) -> str | None:
    """Why a global batch cannot be divided among any number of workers within the bounds; None where it can."""
    if num_workers(batch_size, fewest, most, most) is not None or most == 0:
        return None
    if fewest == most:
        return f"training.batch_size ({batch_size}) must be a multiple of run.workers ({most}); change one of them"
    return (
        f"training.batch_size ({batch_size}) must be a multiple of a number of workers between run.workers.min "
        f"({fewest}) and run.workers.max ({most}); change one of them"
    )
