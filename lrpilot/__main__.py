"""`python -m lrpilot` is the command `lrpilot`."""

import sys

from lrpilot.cli import main

sys.exit(main())
