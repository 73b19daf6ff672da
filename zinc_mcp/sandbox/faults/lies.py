"""The lies in the challenges of a 402."""

import json
from collections.abc import Sequence
from dataclasses import replace

from zinc_mcp.payments.headers import Challenge, base64url, digest_of
from zinc_mcp.sandbox.challenges import Draft
from zinc_mcp.sandbox.ledger import Post

_TEN_YEARS_SECONDS = 10 * 365 * 86_400
_SOMEBODY = "0x000000000000000000000000000000000000dEaD"


def falsify(lie: str, drafts: Sequence[Draft], post: Post) -> list[Draft]:
    """Return the drafts of a POST's challenges, each with the lie."""
    if lie == "unknown_method_only":
        request = {"amount": str(drafts[0].cents), "currency": "sat", "recipient": "lnbc1practice"}
        return [replace(drafts[0], method="lightning", request=request)]
    return [_false(lie, draft, post) for draft in drafts]


def _false(lie: str, draft: Draft, post: Post) -> Draft:
    units, currency = int(draft.request["amount"]), str(draft.request["currency"])
    details = dict(draft.request.get("methodDetails", {}))

    def asking(**members: object) -> Draft:
        return replace(draft, request={**draft.request, **members})

    match lie:
        case "wrong_amount":
            more = units // draft.cents * (draft.cents + 1)
            return replace(asking(amount=str(more)), cents=draft.cents + 1)
        case "odd_amount_underscore":
            return asking(amount=f"{units:_}" if units >= 1_000 else f"0_{units}")
        case "odd_amount_minus":
            return asking(amount=f"-{units}")
        case "odd_amount_number":
            return asking(amount=units)
        case "wrong_currency":
            return asking(currency="0x20c0000000000000000000000000000000000bad" if currency[:2] == "0x" else "eur")
        case "wrong_chain" if "chainId" in details:
            return asking(methodDetails={**details, "chainId": 4_217 if details["chainId"] == 42_431 else 42_431})
        case "no_chain":
            details.pop("chainId", None)
            honest = {name: part for name, part in draft.request.items() if name != "methodDetails"}
            return replace(draft, request={**honest, "methodDetails": details} if details else honest)
        case "splits":
            return asking(methodDetails={**details, "splits": [{"amount": str(units // 2), "recipient": _SOMEBODY}]})
        case "push_only":
            return asking(methodDetails={**details, "supportedModes": ["push"]})
        case "no_expiry":
            return replace(draft, expires_at=None)
        case "expired":
            return replace(draft, expires_at=post.at - 60)
        case "expires_far":
            return replace(draft, expires_at=post.at + _TEN_YEARS_SECONDS)
        case "wrong_digest":
            return replace(draft, digest=digest_of(post.content + b" "))
        case "other_realm":
            return replace(draft, realm="zinc")
        case "other_intent":
            return replace(draft, intent="session")
        case "other_origin_header":
            return replace(draft, header="Cookie")
        case _:
            return draft


def garble(lie: str | None, line: str) -> str:
    """Return a challenge's header line with a lie that is no valid header or no strict JSON."""
    if lie == "malformed":
        return line[:-1]
    if lie == "duplicate_keys":
        (challenge,) = Challenge.from_www_authenticate([line])
        honest = json.dumps(challenge.charge_request.members, separators=(",", ":"), sort_keys=True)
        forged = f'{honest[:-1]},"amount":"{challenge.charge_request.amount}0"}}'
        # The id still binds the honest request, but a reader must refuse two amounts before it checks the id.
        return line.replace(challenge.request, base64url(forged.encode()))
    return line
