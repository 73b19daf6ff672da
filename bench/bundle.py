"""Makes the manifest of the larger bundle, which can also pay on Tempo.

    python -m bench.bundle > manifest.json       # in the folder that is packed, never in this tree

The smaller bundle, with `manifest.json` of this tree, is for everybody else: the libraries that sign on Tempo are
large, and a host installs them at the first start.
"""

import json
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

MANIFEST = Path(__file__).parents[1] / "manifest.json"
_ASKED: dict[str, dict[str, Any]] = {
    "tempo_private_key": {
        "type": "string",
        "title": "Tempo private key",
        "description": "For the wallet tempo. Use an account, or an access key with on-chain limits, that holds no "
        "more than you would put in a purse.",
        "sensitive": True,
        "required": False,
        "default": "",
    },
    "tempo_root_account": {
        "type": "string",
        "title": "Tempo root account",
        "description": "Only with an access key: the account that it signs for.",
        "required": False,
        "default": "",
    },
}


def with_tempo(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest that also installs the extra `tempo`, and asks for the values that this wallet needs."""
    made = deepcopy(manifest)
    start = made["server"]["mcp_config"]
    place = start["args"].index("python")
    start["args"][place:place] = ["--extra", "tempo"]
    start["env"] |= {f"ZINC_{name.upper()}": f"${{user_config.{name}}}" for name in _ASKED}
    made["user_config"] |= deepcopy(_ASKED)
    made["user_config"]["wallet"]["description"] = (
        "Pays place_agent_order without a Zinc account: tempo or stripe. Empty: none."
    )
    return made


def main() -> int:
    """Print the manifest."""
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    print(json.dumps(with_tempo(manifest), indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
