"""The two Tempo networks: their ids, public nodes and the dollar tokens that are accepted on them.

Every TIP-20 stablecoin here has six decimals (mpp-specs, draft-tempo-charge-01, "Terminology"); the wire never says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PATH_USD = "0x20c0000000000000000000000000000000000000"
USDC = "0x20C000000000000000000000b9537d11c60E8b50"
OUSD = "0x20c0000000000000000000006a37DA5C996874BE"

FEE_TOKENS = (PATH_USD, USDC)
"""What a network fee may be taken in besides the token that is paid."""


@dataclass(frozen=True, slots=True)
class Network:
    """One chain; `currencies` in the order in which an offer is preferred."""

    name: str
    chain_id: int
    rpc_url: str
    currencies: Mapping[str, int]
    is_test: bool


NETWORKS: Mapping[int, Network] = MappingProxyType(
    {
        4217: Network("Tempo", 4217, "https://rpc.tempo.xyz", {USDC: 6, PATH_USD: 6, OUSD: 6}, is_test=False),
        42431: Network("Moderato", 42431, "https://rpc.moderato.tempo.xyz", {PATH_USD: 6, OUSD: 6}, is_test=True),
    }
)
