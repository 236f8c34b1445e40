"""`python -m wood` is the command `wood`."""

import sys

from wood.cli import main

sys.exit(main())
