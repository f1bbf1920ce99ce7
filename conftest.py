"""Make the checkout importable as ``deeplocalize``, so that new modules need no reinstall."""

import sys
from pathlib import Path
from types import ModuleType

root = Path(__file__).parent
package = ModuleType("deeplocalize")
package.__path__ = [str(root)]
sys.modules.setdefault("deeplocalize", package)
sys.path.insert(0, str(root)) if str(root) not in sys.path else None
