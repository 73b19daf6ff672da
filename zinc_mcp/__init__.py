"""An MCP server that buys real things through Zinc: one intention, one purchase."""

import sys
from typing import Any, cast

# httpx loads its own command, with rich and pygments, wherever these are installed. Nobody calls it here, and it takes
# as long to load as all of httpx. None stands for a module that cannot be imported (Python, "The import system").
cast(dict[str, Any], sys.modules).setdefault("httpx._main", None)
