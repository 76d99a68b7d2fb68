"""`python -m cvprod.edge COMMAND`: publish and install models, run the inspection loop, make the test vectors."""

import sys

from cvprod.edge.cli import main

if __name__ == "__main__":
    sys.exit(main())
