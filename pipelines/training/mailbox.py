"""What driver and workers of a training tell each other."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from types import FrameType
from typing import cast

import ray
from ray import ObjectRef
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.training.display import ProgressUpdate
from pipelines.training.job import Reached
from sgenet.errors import UserError

_terminated = threading.Event()


@dataclass(frozen=True)
class News:
    """What the driver learns when it looks.

    Attributes:
        messages: since the look before.
        nodes: ids of the nodes whose workers have begun.
        begun: how many workers have.
        outcome: how far rank 0 came, or the error of a worker; None while they are at it.
    """

    messages: tuple[ProgressUpdate | str, ...]
    nodes: frozenset[str]
    begun: int
    outcome: Reached | UserError | None


class Mailbox:
    """An actor that carries messages and the outcome to the driver, and the wish to stop to the workers."""

    def __init__(self) -> None:
        self._messages: list[ProgressUpdate | str] = []
        self._nodes: set[str] = set()
        self._begun = 0
        self._stop = False
        self._outcome: Reached | UserError | None = None

    def begin(self, node: str) -> None:
        """A worker on this node has begun."""
        self._nodes.add(node)
        self._begun += 1

    def post(self, message: ProgressUpdate | str) -> None:
        """Leave a message."""
        self._messages.append(message)

    def finish(self, outcome: Reached | UserError) -> None:
        """Leave the outcome; an error is not replaced by its consequences."""
        if not isinstance(self._outcome, UserError):
            self._outcome = outcome

    def collect(self) -> News:
        """Take the messages, see the rest."""
        messages, self._messages = tuple(self._messages), []
        return News(messages, frozenset(self._nodes), self._begun, self._outcome)

    def request_stop(self) -> None:
        """Ask the workers to store the state and stop."""
        self._stop = True

    def stop_requested(self) -> bool:
        """Whether they were asked to."""
        return self._stop


def open_mailbox() -> ActorHandle[Mailbox]:
    """Start a mailbox on the driver's own node: the two are lost together or not at all."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here)
    return cast("ActorHandle[Mailbox]", actor.remote())


class RemoteDriver:
    """The driver, as a worker sees it: a :class:`~pipelines.training.display.Display` that may also ask to stop.

    Args:
        mailbox: both look into.
        asks: whether this worker asks there to be stopped; one of them is enough.
    """

    def __init__(self, mailbox: ActorHandle[Mailbox], asks: bool) -> None:
        self._mailbox = mailbox
        self._answer: ObjectRef[bool] | None = mailbox.stop_requested.remote() if asks else None

    def show(self, shown: ProgressUpdate) -> None:
        """Show a logged step or a validation."""
        self._mailbox.post.remote(shown)

    def say(self, text: str) -> None:
        """Print a message."""
        self._mailbox.post.remote(text)

    def stop_requested(self) -> bool:
        """Whether the driver asks to stop, or the operating system this worker."""
        if _terminated.is_set():
            return True
        if self._answer is None:
            return False
        # The answer to a question asked at an earlier step: no step waits for one.
        answered, _ = ray.wait([self._answer], timeout=0)
        if not answered:
            return False
        requested = bool(ray.get(self._answer))
        self._answer = self._mailbox.stop_requested.remote()
        return requested


def stop_on_sigterm() -> None:
    """Take a SIGTERM as the notice that this worker is about to be lost; for the main thread of a worker.

    The first asks all workers to store the state and stop, as a preempted machine sends it some
    time before it ends; the second ends the process.
    """

    def note(number: int, frame: FrameType | None) -> None:
        _terminated.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, note)
