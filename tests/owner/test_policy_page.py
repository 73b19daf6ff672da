"""The file printed in docs/policy.md loads, holds every key, and means what the page says."""

import re
import tomllib
from pathlib import Path

from started import ROOT

from zinc_mcp.owner.addresses import saved_addresses
from zinc_mcp.owner.policy import Policy, policy_sources, read_policy
from zinc_mcp.owner.settings import load_settings

PAGE = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")


def test_the_whole_file_by_example_is_the_whole_file(tmp_path: Path) -> None:
    [example] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "zinc.toml").write_text(example, encoding="utf-8")
    (tmp_path / "key").write_text("zn_test_1", encoding="utf-8")
    settings = load_settings({"ZINC_MCP_HOME": str(tmp_path)})
    assert set(tomllib.loads(example)["policy"]) == set(Policy.model_fields)
    policy = read_policy(settings, {})
    assert set(policy_sources(settings, {}).values()) == {"zinc.toml"}
    assert policy.retailers_allowed == ("amazon.com", "*.walmart.com", "xn--bcher-kva.de")
    assert list(saved_addresses(settings)) == ["home"]
    assert settings.browser


def test_the_defaults_that_the_page_names_hold() -> None:
    default = Policy()
    assert (default.max_order, default.max_day, default.repeat, default.ship_to) == (25_000, 50_000, "ask", "any")
    assert not (default.connect or default.retailer_accounts or default.paid_notifications)
    assert all(getattr(default, key) is None for key in ("max_month", "max_orders_day", "rails", "countries"))


def test_every_link_of_the_page_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
