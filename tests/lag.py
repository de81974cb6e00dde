"""How long an event loop does not run."""

import asyncio
import time


class Lag:
    """Measures how long the event loop does not run, which no budget can know.

    Attributes:
        seconds: All of it so far.
        longest: The longest at once.
    """

    def __init__(self):
        self.seconds = self.longest = 0.0

    async def measure(self):
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.002)
            lag = max(0.0, time.monotonic() - began - 0.003)
            self.seconds += lag
            self.longest = max(self.longest, lag)
