"""The refusals of an order whose caller may not order any more, or is not known here."""

from zinc_mcp.errors import AnotherServerError, RefusedError
from zinc_mcp.owner.team.member import name_of
from zinc_mcp.text import plain


def no_member(caller: str) -> RefusedError:
    """Return the refusal for a caller who is no member any more."""
    return RefusedError(
        f"{_name(caller)} is no member of the team any more, so nothing was sent.",
        "Tell the user; the owner decides about members.",
        owner_step="If it is still wanted, let a member of the team ask for the same.",
    )


def may_only_look(caller: str) -> RefusedError:
    """Return the refusal for a member without the right to order."""
    return RefusedError(
        f"{_name(caller)} may only look and not order any more, so nothing was sent.",
        "Tell the user; the owner decides about the roles of members.",
        owner_step="If they may order, give them the role `order`.",
    )


def not_known_here(caller: str) -> AnotherServerError:
    """Return the refusal for a caller of whom this process cannot say whether they are still a member."""
    return AnotherServerError(
        f"This process does not know {_name(caller)} as a member of the team, so it sent nothing.",
        "Tell the user; the team's server can send the order.",
        owner_step="Decide about it on the approval page of the team's server.",
    )


def _name(caller: str) -> str:
    return plain(name_of(caller), 80)
