"""The things that servers on one journal share beside orders: visits to the page, the policy, and the looking up."""
