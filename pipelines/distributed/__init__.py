"""Work on many processes and machines. Nothing else imports Ray."""

import os
import sys

if "ray" not in sys.modules and not os.environ.get("RAY_ADDRESS"):
    # Ray reads this while it is imported. A cluster of this machine alone then listens on 127.0.0.1,
    # as it does elsewhere than on Linux, and not on every address the machine has.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
