"""`python -m sekisho.cli` is the command `sekisho`."""

import sys

from sekisho.cli import main

sys.exit(main())
