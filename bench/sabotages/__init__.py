"""The sabotages, divided by the proof that must notice them.

If you change a line that stands here, renew the entry: `bench.sabotage` fails while it cannot find the text.
"""

from bench.sabotages.by_campaign import BY_CAMPAIGN as ON_V2
from bench.sabotages.by_campaign_v1 import BY_CAMPAIGN_V1
from bench.sabotages.by_tests import BY_TESTS
from bench.sabotages.sabotage import ByCampaign, ByTests, Sabotage

BY_CAMPAIGN = (*ON_V2, *BY_CAMPAIGN_V1)
SABOTAGES = (*BY_CAMPAIGN, *BY_TESTS)

__all__ = ["BY_CAMPAIGN", "BY_TESTS", "SABOTAGES", "ByCampaign", "ByTests", "Sabotage"]
