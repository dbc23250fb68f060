"""What the search knows of costs was calibrated by a script in benchmarks/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
