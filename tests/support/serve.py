"""`tidegate` for as long as the tests run: `python -m tests.support.serve PARENT ARGUMENTS…`.

However its parent ends, be it killed, this process ends with it, and its children with this one.
"""

import sys

from server.cli import main
from server.machine import die_with_parent

if __name__ == "__main__":
    die_with_parent(int(sys.argv.pop(1)))
    main()
