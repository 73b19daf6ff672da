"""No secret of the settings passes in an argument of a tool, whichever setting it is from."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from zinc_mcp.errors import InvalidArgumentsError
from zinc_mcp.known_settings import SETTINGS, Setting
from zinc_mcp.owner.settings import Settings
from zinc_mcp.spending.own_secrets import refuse_secrets, secrets_in

PLANTED = "planted-5a1e7c30b94d42f6a8c1d2e3f4"
WAYS = {
    "key": (PLANTED, [PLANTED]),
    "keys": (f"{PLANTED}-one, {PLANTED}-two", [f"{PLANTED}-one", f"{PLANTED}-two"]),
    "database": (f"postgresql://zinc:{PLANTED}%2F1@db.example/zinc", [f"{PLANTED}/1", f"{PLANTED}%2F1"]),
    "proxy": (f"http://user:{PLANTED}@proxy.example:3128", [PLANTED]),
}
"""A value of each kind of secret setting, and the secrets in it."""


def with_secret(home: Path, name: str, value: str) -> Settings:
    given: dict[str, Any] = {name: SecretStr(value)}
    return Settings(home, home / "zinc.toml", **given)


@pytest.mark.parametrize("setting", [each for each in SETTINGS if each.is_secret], ids=lambda each: each.name)
def test_a_secret_of_any_setting_is_refused_in_an_argument(tmp_path: Path, setting: Setting) -> None:
    value, secrets = WAYS[setting.kind]
    settings = with_secret(tmp_path, setting.name, value)
    for secret in secrets:
        for text in (secret, f"use {secret.upper()}, please", " ".join(secret)):
            with pytest.raises(InvalidArgumentsError) as refused:
                refuse_secrets({"products": [{"notes": text}]}, secrets_in(settings))
            assert secret not in str(refused.value)
            assert [problem.field for problem in refused.value.problems] == ["products"]


@pytest.mark.parametrize(
    ("name", "value"), [("proxy", "environment"), ("journal", "postgresql://zinc@db.example/zinc")]
)
def test_a_setting_without_a_secret_in_it_refuses_nothing(tmp_path: Path, name: str, value: str) -> None:
    settings = with_secret(tmp_path, name, value)
    refuse_secrets({"gift_message": f"it is {value}, thanks"}, secrets_in(settings))
