"""Several commands of whorl's in one process, one after the other: JSON of their arguments."""

import json
import sys

from whorl.cli import app

for command in json.loads(sys.argv[1]):
    app(command, standalone_mode=False)
