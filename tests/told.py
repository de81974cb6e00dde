"""What the library tells operators."""

import logging

LOGGER = logging.getLogger("fastapi_throttle")


class Told(logging.Handler):
    """Listens to what is told when the store changes.

    Attributes:
        levels: The level of each message.
    """

    def __init__(self):
        super().__init__()
        self.levels = []

    def listen(self):
        self._level = LOGGER.level
        LOGGER.setLevel(logging.INFO)
        LOGGER.addHandler(self)

    def leave(self):
        LOGGER.removeHandler(self)
        LOGGER.setLevel(self._level)

    def emit(self, record):
        if record.module == "health":
            self.levels.append(record.levelname)
