"""The composition root: the only place that names concrete adapters.

`build` makes one worker's parts from the settings, `Worker.start` connects them, `Worker.stop` lets
running work end and closes them in the order in which they depend on one another.
"""

from sekisho.wiring.build import SystemClock, build
from sekisho.wiring.running import Worker

__all__ = ["SystemClock", "Worker", "build"]
