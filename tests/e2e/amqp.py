"""A publisher that remembers what was confirmed, against a queue with replicas."""
import threading

import pika
import pika.exceptions
from bed import wait_until

QUEUE = "ledger"
TROUBLE = (pika.exceptions.AMQPError, OSError)


def connect(address):
    return pika.BlockingConnection(pika.ConnectionParameters(
        address, heartbeat=10, socket_timeout=5, blocked_connection_timeout=20, stack_timeout=15))


def declare(address):
    connection = connect(address)
    connection.channel().queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    connection.close()


class Publisher:
    """Keeps publishing, at whichever of the addresses serves; what was not confirmed may or may not be there."""

    def __init__(self, addresses):
        self.addresses = addresses  # answers those of the moment
        self.confirmed = []
        self.errors = []
        self.number = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._publish, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        self.thread.join(120)
        assert not self.thread.is_alive(), "the publisher hangs"

    def _some_channel(self):
        for address in self.addresses():
            try:
                channel = connect(address).channel()
                channel.confirm_delivery()
                # A node that is not a member (yet) has no such queue.
                channel.queue_declare(QUEUE, passive=True)
                return channel
            except TROUBLE as error:
                self.errors.append(repr(error))
        return None

    def _publish(self):
        channel = None
        while not self.stopping.is_set():
            try:
                channel = channel or self._some_channel()
                if channel:
                    self.number += 1
                    # Raises unless the broker has confirmed it.
                    channel.basic_publish("", QUEUE, str(self.number).encode(), mandatory=True,
                                          properties=pika.BasicProperties(delivery_mode=2))
                    self.confirmed.append(self.number)
            except (*TROUBLE, LookupError, AssertionError) as error:
                self.errors.append(repr(error))
                channel = None
            self.stopping.wait(0.02 if channel else 0.5)
        if channel:
            try:
                channel.connection.close()
            except TROUBLE:
                pass  # the broker went first

    def goes_on(self, timeout=120):
        """Returns when what was published after this call has been confirmed."""
        before = len(self.confirmed)
        wait_until("the publisher is served", lambda: len(self.confirmed) > before + 5, timeout)


def drain(address):
    """All that the queue holds, in order."""
    connection = connect(address)
    channel = connection.channel()
    held = []
    while True:
        method, _, body = channel.basic_get(QUEUE)
        if method is None:
            break
        held.append(int(body))
    connection.close()
    return held
