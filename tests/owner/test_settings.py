"""Settings follow their order of sources, a wrong one stops the start, and no message shows a secret."""

from pathlib import Path

import pytest

from zinc_mcp.errors import SettingsError
from zinc_mcp.known_settings import PROFILES, TOOLS
from zinc_mcp.owner.settings import DEFAULT_API_URL, Settings, load_settings, read_config, warnings_about

PLANTED = "zn_live_planted_5a1e"


def _settings(home: Path, toml: str = "", **variables: str) -> Settings:
    if toml:
        (home / "zinc.toml").write_text(toml, encoding="utf-8")
    return load_settings({"ZINC_MCP_HOME": str(home), **variables})


def _refusal(home: Path, toml: str = "", **variables: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        _settings(home, toml, **variables)
    assert PLANTED not in caught.value.summary + caught.value.next_step + repr(caught.value)
    return caught.value


def test_without_any_configuration_the_defaults_hold(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    assert settings.config == tmp_path / "zinc.toml"
    assert settings.api_key is None
    assert settings.api_url == DEFAULT_API_URL
    assert settings.tools is None
    assert settings.mode == "live"
    assert settings.journal_url == f"sqlite:///{tmp_path / 'journal.db'}"
    assert settings.sources["api_key"] == "default"


def test_without_a_home_variable_the_home_is_in_the_users_folder() -> None:
    assert load_settings({}).home == Path.home() / ".zinc-mcp"


def test_the_environment_overrides_the_file_and_the_source_says_so(tmp_path: Path) -> None:
    toml = f'api_key = "{PLANTED}"\nsandbox = true\ntools = ["get_order"]\nwallet = "tempo"\n'
    settings = _settings(tmp_path, toml, ZINC_API_KEY="zn_test_1", ZINC_MCP_SANDBOX="0")
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "zn_test_1"
    assert settings.mode == "test"
    assert settings.tools == frozenset({"get_order"})
    assert settings.wallet == "tempo"
    assert settings.sources["api_key"] == "environment ZINC_API_KEY"
    assert settings.sources["sandbox"] == "environment ZINC_MCP_SANDBOX"
    assert settings.sources["tools"] == "zinc.toml tools"


READS = frozenset(tool for tool in TOOLS if "read" in PROFILES[tool])
ORDERS = frozenset(tool for tool in TOOLS if "order" in PROFILES[tool])


@pytest.mark.parametrize(
    ("given", "tools"),
    [
        ("read", READS),
        ("order", ORDERS),
        ("all", frozenset(TOOLS)),
        ("read, cancel_order", READS | {"cancel_order"}),
        ("read,order", READS | ORDERS),
        ("get_balance", frozenset({"get_balance"})),
        ("all,get_order", frozenset(TOOLS)),
    ],
)
def test_tools_are_chosen_by_names_and_profiles(tmp_path: Path, given: str, tools: frozenset[str]) -> None:
    assert _settings(tmp_path, ZINC_MCP_TOOLS=given).tools == tools
    listed = ", ".join(f'"{each.strip()}"' for each in given.split(","))
    assert _settings(tmp_path, f"tools = [{listed}]\n").tools == tools


def test_the_profile_read_spends_nothing_and_changes_nothing() -> None:
    assert not READS & {"place_order", "place_agent_order", "cancel_order"}
    assert {"place_order", "place_agent_order", "get_order"} <= ORDERS


@pytest.mark.parametrize(("given", "near"), [("reed", "read"), ("list_order", "list_orders"), ("Read", "read")])
def test_a_profile_or_name_that_is_none_stops_the_start(tmp_path: Path, given: str, near: str) -> None:
    with pytest.raises(SettingsError) as raised:
        _settings(tmp_path, ZINC_MCP_TOOLS=given)
    assert f"Did you mean {near}?" in raised.value.summary
    assert "the profiles are read, order, all." in raised.value.next_step


def test_a_wallet_can_be_set_up_in_the_file_alone(tmp_path: Path) -> None:
    (tmp_path / "wallet.key").write_text(PLANTED, encoding="utf-8")
    toml = (
        'wallet = "tempo"\ntempo_private_key_file = "wallet.key"\ntempo_root_account = "0x1"\ntempo_chain_id = 42431\n'
        'wallet_methods = ["tempo"]\nwallet_recipients = ["0x2"]\nwallet_fees = "50-100"\n'
    )
    settings = _settings(tmp_path, toml)
    assert settings.tempo_private_key is not None
    assert settings.tempo_private_key.get_secret_value() == PLANTED
    assert (settings.tempo_chain_id, settings.tempo_root_account) == (42431, "0x1")
    assert (settings.wallet_methods, settings.wallet_recipients) == (("tempo",), ("0x2",))
    assert settings.wallet_fees == (50, 100)
    assert settings.sources["tempo_private_key"] == "zinc.toml tempo_private_key_file"
    assert _settings(tmp_path, "wallet_fees = 150\n").wallet_fees == (150, 150)


@pytest.mark.parametrize("unset", ["", "  ", "${user_config.api_key}"])
def test_an_empty_or_unfilled_value_is_no_value(tmp_path: Path, unset: str) -> None:
    settings = _settings(tmp_path, f'api_key = "{PLANTED}"\n', ZINC_API_KEY=unset, ZINC_API_URL=unset)
    assert settings.sources["api_key"] == "zinc.toml api_key"
    assert settings.api_url == DEFAULT_API_URL


PLACEHOLDERS = (
    "${ZINC_API_KEY}",
    "${env:ZINC_API_KEY}",
    "${input:zinc-key}",
    "${ZINC_API_KEY:-}",
    "{env:ZINC_API_KEY}",
    "{{secrets.ZINC_API_KEY}}",
    "{file:~/.secrets/zinc}",
    "$ZINC_API_KEY",
    "$env:ZINC_API_KEY",
    "%ZINC_API_KEY%",
    "<your key>",
    "undefined",
    "null",
)


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_that_a_host_did_not_fill_in_is_no_value_and_is_named(tmp_path: Path, placeholder: str) -> None:
    settings = _settings(
        tmp_path, f'wallet = "{placeholder}"\n', ZINC_API_KEY=placeholder, ZINC_MCP_TOOLS=f" {placeholder} "
    )
    assert (settings.api_key, settings.tools, settings.wallet) == (None, None, None)
    assert settings.unfilled == ("environment ZINC_API_KEY", "environment ZINC_MCP_TOOLS", "zinc.toml wallet")
    assert all("was not filled in" in warning and placeholder not in warning for warning in warnings_about(settings))


def test_a_setting_that_a_bundle_leaves_out_is_nothing_to_warn_of(tmp_path: Path) -> None:
    assert _settings(tmp_path, ZINC_API_KEY="${user_config.api_key}", ZINC_WALLET="").unfilled == ()


@pytest.mark.parametrize("value", ["zn_live_a$b{c}", "a<b>", "nullify", "x${Y}"])
def test_a_value_that_only_resembles_a_placeholder_is_a_value(tmp_path: Path, value: str) -> None:
    settings = _settings(tmp_path, ZINC_API_KEY=value)
    assert settings.api_key is not None
    assert settings.unfilled == ()


def test_the_sandbox_needs_no_key_and_is_its_own_mode(tmp_path: Path) -> None:
    assert _settings(tmp_path, ZINC_MCP_SANDBOX="1", ZINC_API_KEY=PLANTED).mode == "sandbox"


def test_a_secret_is_read_from_the_file_a_variable_names(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{PLANTED}\n", encoding="utf-8")
    settings = _settings(tmp_path, ZINC_API_KEY_FILE=str(tmp_path / "key"))
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == PLANTED
    assert settings.sources["api_key"] == "environment ZINC_API_KEY_FILE"


def test_a_secret_file_named_in_the_config_is_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://zinc:planted@127.0.0.1/zinc", encoding="utf-8")
    settings = _settings(tmp_path, 'journal_file = "url"\n')
    assert settings.journal_url == "postgresql://zinc:planted@127.0.0.1/zinc"


def test_no_repr_of_settings_shows_a_secret(tmp_path: Path) -> None:
    settings = _settings(tmp_path, ZINC_API_KEY=PLANTED, ZINC_MCP_JOURNAL=f"postgresql://u:{PLANTED}@127.0.0.1/z")
    assert PLANTED not in repr(settings) + str(settings) + repr(settings.sources)


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("api_kee = 'x'", "api_key"),
        ("max_order = 100", "max_order"),
        ("api_key = 5", "zinc.toml api_key"),
        ("sandbox = 'maybe'", "zinc.toml sandbox"),
        ("tools = [1]", "zinc.toml tools"),
        ("tools = []", "zinc.toml tools"),
        ("tools = ['place_ordr']", "Did you mean place_order?"),
        ("policy = 5", "[policy]"),
        ("addresses = 'home'", "[addresses]"),
        ("journal = 'mysql://x'", "zinc.toml journal"),
        (f"api_key = '{PLANTED} x'", "zinc.toml api_key"),
        (f"api_key = '{PLANTED}'\napi_key_file = 'key'", "both set"),
        (f"api_key = '{PLANTED}\n", "not valid TOML"),
    ],
)
def test_a_wrong_line_in_the_file_stops_the_start_and_is_named(tmp_path: Path, toml: str, named: str) -> None:
    assert named in _refusal(tmp_path, toml).summary


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("wallet = 'gold'", "zinc.toml wallet"),
        ("wallet_fees = 'a dollar'", "zinc.toml wallet_fees"),
        ("wallet_fees = '100-50'", "zinc.toml wallet_fees"),
        ("wallet_fees = 1.5", "zinc.toml wallet_fees"),
        ("tempo_chain_id = 'main'", "zinc.toml tempo_chain_id"),
        ("tempo_private_key_file = 'nowhere'", "zinc.toml tempo_private_key_file"),
        (f"tempo_rpc_url = 'https://{PLANTED}@node'", "zinc.toml tempo_rpc_url"),
        (f"stripe_secret_key = '{PLANTED} x'", "zinc.toml stripe_secret_key"),
        (f"wallet = '{PLANTED}'", "zinc.toml wallet"),
    ],
)
def test_a_fault_of_the_wallet_alone_is_named_and_stops_nothing_else(tmp_path: Path, toml: str, named: str) -> None:
    settings = _settings(tmp_path, toml, ZINC_API_KEY="zn_test_1")
    assert settings.api_key is not None
    assert settings.wallet is None
    [warning] = warnings_about(settings)
    assert named in warning
    assert PLANTED not in warning


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ZINC_MCP_SANDBOX", PLANTED),
        ("ZINC_MCP_TOOLS", ","),
        ("ZINC_API_KEY", f"{PLANTED}\nx: y"),
        ("ZINC_API_KEY", f"{PLANTED}é"),
        ("ZINC_API_KEY_FILE", PLANTED),
        ("ZINC_API_URL", f"https://{PLANTED}@api.zinc.com"),
        ("ZINC_MCP_JOURNAL", PLANTED),
        ("ZINC_MCP_JOURNAL_FILE", f"/nowhere/{PLANTED}"),
        ("ZINC_MCP_MAX_ORDERS", PLANTED),
        ("ZINC_MCP_CONFIG", "/nowhere/zinc.toml"),
    ],
)
def test_a_wrong_variable_stops_the_start_and_is_named_without_its_value(
    tmp_path: Path, variable: str, value: str
) -> None:
    assert variable in _refusal(tmp_path, **{variable: value}).summary


def test_an_empty_secret_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n", encoding="utf-8")
    assert "is empty" in _refusal(tmp_path, ZINC_API_KEY_FILE=str(tmp_path / "key")).summary


def test_a_file_that_is_not_text_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "zinc.toml").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in _refusal(tmp_path).summary


def test_a_file_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "zinc.toml").write_bytes(b"\xef\xbb\xbfsandbox = true\n")
    assert _settings(tmp_path).sandbox


def test_a_missing_file_is_an_empty_configuration(tmp_path: Path) -> None:
    assert read_config(tmp_path / "zinc.toml") == {}
