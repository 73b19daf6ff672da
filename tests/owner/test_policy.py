"""The policy follows the file and the environment, and each rule refuses an order before the journal is asked."""

import os
from pathlib import Path
from typing import Any

import pytest
from wanted import ADDRESS

from zinc_mcp.errors import RefusedError
from zinc_mcp.owner.objection import objection
from zinc_mcp.owner.policy import Policy, policy_sources, read_policy
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.zinc.orders import OrderCreate


def _settings(home: Path, toml: str | None = None) -> Settings:
    if toml is not None:
        (home / "zinc.toml").write_text(toml, encoding="utf-8")
    return load_settings({"ZINC_MCP_HOME": str(home)})


def _order(url: str = "https://www.amazon.com/dp/B07JGBW826", **changes: Any) -> OrderCreate:
    body = {"products": [{"url": url}], "shipping_address": ADDRESS, "max_price": 5000, **changes}
    return OrderCreate.model_validate(body)


def _objection(policy: Policy, order: OrderCreate | None = None, **how: Any) -> RefusedError | None:
    arguments: dict[str, Any] = {"caller": "local", "rail": "account", "mode": "live", "saved": False, **how}
    return objection(policy, order or _order(), **arguments)


def test_without_a_file_the_default_limits_hold_and_no_approval_mode_is_chosen(tmp_path: Path) -> None:
    policy = read_policy(_settings(tmp_path), {})
    assert (policy.max_order, policy.max_day, policy.max_month, policy.approval) == (25_000, 50_000, None, None)
    assert set(policy_sources(_settings(tmp_path), {}).values()) == {"default"}


@pytest.mark.parametrize(
    ("in_file", "in_environment", "holds", "source"),
    [
        (None, "40000", 40_000, "environment ZINC_MCP_MAX_ORDER"),
        (30_000, None, 30_000, "zinc.toml"),
        (30_000, "40000", 30_000, "zinc.toml"),
        (30_000, "20000", 20_000, "environment ZINC_MCP_MAX_ORDER"),
        (30_000, "", 30_000, "zinc.toml"),
        (30_000, "${user_config.max_order}", 30_000, "zinc.toml"),
    ],
)
def test_the_lower_of_two_limits_holds(
    tmp_path: Path, in_file: int | None, in_environment: str | None, holds: int, source: str
) -> None:
    settings = _settings(tmp_path, f"[policy]\nmax_order = {in_file}\n" if in_file else None)
    environ = {"ZINC_MCP_MAX_ORDER": in_environment} if in_environment is not None else {}
    assert read_policy(settings, environ).max_order == holds
    assert policy_sources(settings, environ)["max_order"] == source


def test_the_environment_chooses_the_approval_mode(tmp_path: Path) -> None:
    settings = _settings(tmp_path, '[policy]\napproval = "none"\n')
    assert read_policy(settings, {}).approval == "none"
    assert read_policy(settings, {"ZINC_MCP_APPROVAL": "host"}).approval == "host"


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("max_ordr = 5", "max_ordr"),
        ('max_order = "5"', "max_order"),
        ("max_order = 250.00", "max_order"),
        ("max_order = true", "max_order"),
        ("max_day = -1", "max_day"),
        ('approval = "maybe"', "approval"),
        ('ship_to = "anywhere"', "ship_to"),
        ('rails = ["v9"]', "rails"),
        ('countries = ["USA"]', "countries"),
        ('retailers_allowed = "amazon.com"', "retailers_allowed"),
        ('retailers_blocked = ["https://amazon.com/"]', "retailers_blocked"),
        ('retailers_blocked = ["*"]', "retailers_blocked"),
        ('retailers_blocked = ["*.com"]', "retailers_blocked"),
        ("connect = 1", "connect"),
        ("max_order = ", "TOML"),
    ],
)
def test_a_policy_that_cannot_be_understood_is_refused_by_key_and_file(tmp_path: Path, line: str, named: str) -> None:
    settings = _settings(tmp_path)
    (tmp_path / "zinc.toml").write_text(f"[policy]\n{line}\n", encoding="utf-8")
    with pytest.raises(RefusedError) as caught:
        read_policy(settings, {})
    assert caught.value.code == "policy_invalid"
    assert named in caught.value.summary
    assert "zinc.toml" in caught.value.summary


@pytest.mark.parametrize("value", ["250.00", "$250", "-1", "²", "9" * 13])
def test_a_limit_in_the_environment_is_whole_cents(tmp_path: Path, value: str) -> None:
    with pytest.raises(RefusedError, match="ZINC_MCP_MAX_DAY"):
        read_policy(_settings(tmp_path), {"ZINC_MCP_MAX_DAY": value})


def test_an_approval_mode_in_the_environment_is_a_known_one(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="ZINC_MCP_APPROVAL"):
        read_policy(_settings(tmp_path), {"ZINC_MCP_APPROVAL": "yes"})


def test_the_file_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "[policy]\nmax_order = 100\n")
    assert read_policy(settings, {}).max_order == 100
    _settings(tmp_path, "[policy]\nmax_order = 2000\n")
    assert read_policy(settings, {}).max_order == 2_000


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_read_anew(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "[policy]\nmax_order = 100\n")
    assert read_policy(settings, {}).max_order == 100
    before = (tmp_path / "zinc.toml").stat()
    replacement = tmp_path / "new"
    replacement.write_text("[policy]\nmax_order = 200\n", encoding="utf-8")
    os.utime(replacement, ns=(before.st_atime_ns, before.st_mtime_ns))
    replacement.replace(tmp_path / "zinc.toml")
    assert read_policy(settings, {}).max_order == 200


def test_a_policy_that_breaks_later_refuses_until_it_is_mended(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "[policy]\nmax_order = 100\n")
    assert read_policy(settings, {}).max_order == 100
    (tmp_path / "zinc.toml").write_text("[policy\n", encoding="utf-8")
    with pytest.raises(RefusedError, match="TOML"):
        read_policy(settings, {})
    (tmp_path / "zinc.toml").write_text("[policy]\nmax_order = 3000\n", encoding="utf-8")
    assert read_policy(settings, {}).max_order == 3_000


def test_a_policy_that_disappears_does_not_lift_its_limits(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "[policy]\nmax_order = 100\n")
    read_policy(settings, {})
    (tmp_path / "zinc.toml").unlink()
    with pytest.raises(RefusedError, match="is gone"):
        read_policy(settings, {})


def test_an_order_within_the_policy_meets_no_objection() -> None:
    assert _objection(Policy()) is None
    assert _objection(Policy(), _order(max_price=24_900)) is None


def test_the_fee_counts_towards_the_limit_and_the_largest_max_price_is_named() -> None:
    refused = _objection(Policy(), _order(max_price=24_901))
    assert refused is not None
    assert refused.code == "limit_exceeded"
    assert refused.facts["largest_max_price_cents"] == 24_900
    assert "24900 ($249.00)" in refused.next_step


def test_a_limit_below_the_fee_admits_no_order() -> None:
    refused = _objection(Policy(max_order=0), _order(max_price=1))
    assert refused is not None
    assert refused.facts["largest_max_price_cents"] == 0
    assert "No order fits" in refused.next_step


@pytest.mark.parametrize("mode", ["live", "test", "sandbox"])
def test_the_limit_of_one_order_holds_in_every_mode(mode: str) -> None:
    assert _objection(Policy(max_order=100), mode=mode) is not None


AMAZON = "https://www.amazon.com/dp/B07JGBW826"
SMILE = "https://smile.amazon.com/dp/B07JGBW826"
LOOKALIKE = "https://www.notamazon.com/dp/B07JGBW826"
OTHER_DOMAIN = "https://amzn.com/B07JGBW826"
"""Amazon's own as well."""
CYRILLIC = "https://www.\u0430mazon.com/dp/B07JGBW826"


@pytest.mark.parametrize(
    ("allowed", "url", "passes"),
    [
        ("amazon.com", AMAZON, True),
        ("www.AMAZON.com", AMAZON, True),
        ("amazon.com", SMILE, False),
        ("*.amazon.com", SMILE, True),
        ("*.amazon.com", AMAZON, True),
        ("*.amazon.com", LOOKALIKE, False),
        ("amazon.com", LOOKALIKE, False),
        ("amazon.com", CYRILLIC, False),
        ("amazon.com", OTHER_DOMAIN, True),
        ("walmart.com", OTHER_DOMAIN, False),
        ("walmart.com", "https://business.walmart.com/ip/123456789", False),
        ("amazon.com", "https://amazon.com.evil.example/dp/1", False),
        ("b\u00fccher.de", "https://www.xn--bcher-kva.de/item/1", True),
    ],
)
def test_only_allowed_retailers_pass(allowed: str, url: str, passes: bool) -> None:
    refused = _objection(Policy(retailers_allowed=(allowed,)), _order(url))
    assert (refused is None) is passes
    if refused is not None:
        assert refused.code == "not_allowed"
        assert refused.summary.isascii()


@pytest.mark.parametrize(
    ("blocked", "url", "passes"),
    [
        ("amazon.com", AMAZON, False),
        ("amazon.com", SMILE, False),
        ("amazon.com", OTHER_DOMAIN, False),
        ("amzn.com", OTHER_DOMAIN, False),
        ("etsy.com", "https://potter.etsy.com/listing/1035684640", False),
        ("*.amazon.com", AMAZON, False),
        ("amazon.com", LOOKALIKE, True),
    ],
)
def test_a_blocked_retailer_is_blocked_with_every_host_under_it(blocked: str, url: str, passes: bool) -> None:
    assert (_objection(Policy(retailers_blocked=(blocked,)), _order(url)) is None) is passes


def test_a_retailer_both_allowed_and_blocked_is_blocked() -> None:
    policy = Policy(retailers_allowed=("amazon.com",), retailers_blocked=("amazon.com",))
    refused = _objection(policy)
    assert refused is not None
    assert "blocks" in refused.summary


def test_an_empty_list_of_allowed_retailers_allows_none() -> None:
    assert _objection(Policy(retailers_allowed=())) is not None


def test_only_listed_countries_are_shipped_to() -> None:
    assert _objection(Policy(countries=("us",))) is None
    refused = _objection(Policy(countries=("CA",)))
    assert refused is not None
    assert refused.code == "not_allowed"


def test_with_saved_addresses_only_any_other_is_refused() -> None:
    policy = Policy(ship_to="saved")
    assert _objection(policy, saved=True) is None
    refused = _objection(policy, saved=False)
    assert refused is not None
    assert "saved addresses only" in refused.summary


def test_only_listed_rails_pay() -> None:
    policy = Policy(rails=("agent",))
    assert _objection(policy, rail="agent") is None
    refused = _objection(policy, rail="account")
    assert refused is not None
    assert refused.code == "not_allowed"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"payment": {"mode": "connect", "payment_method": "pm_1"}}, "connect"),
        ({"retailer_credentials_id": "zn_acct_1"}, "retailer_accounts"),
        ({"customer_notifications": {"email": "ada@example.com"}}, "paid_notifications"),
    ],
)
def test_spending_outside_the_limits_needs_its_line_for_a_live_key(changes: dict[str, Any], key: str) -> None:
    order = _order(**changes)
    refused = _objection(Policy(), order)
    assert refused is not None
    assert refused.code == "not_allowed"
    assert key in refused.next_step
    assert _objection(Policy.model_validate({key: True}), order) is None
    assert _objection(Policy(), order, mode="test") is None
    assert _objection(Policy(), order, mode="sandbox") is None


def test_paying_with_the_zinc_balance_needs_no_line() -> None:
    assert _objection(Policy(), _order(payment={"mode": "wallet"})) is None
