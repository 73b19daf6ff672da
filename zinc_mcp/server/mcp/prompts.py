"""The prompts that people pick in their host. A prompt names only tools that this server lists."""

from collections.abc import Callable, Collection, Iterator

from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import PromptArgument

from zinc_mcp.text import plain

_MOST = 500
"""Characters of an argument that a prompt repeats."""
_BUYING = ("place_order", "place_agent_order", "place_v1_order")


def prompts(tools: Collection[str]) -> Iterator[Prompt]:
    """Yield the prompts for which this server has the tools."""
    if any(name in tools for name in _BUYING):
        yield _prompt(
            "buy_something",
            "Buy something",
            "Find a product, agree on price and address, and order it once.",
            ("what", "What to buy, and for how much at most"),
            lambda what: _buy(what, tools),
        )
    if "get_order" in tools:
        yield _prompt(
            "where_is_my_order",
            "Where is my order",
            "See how an order stands and when it should arrive.",
            ("order", "An order's id, or what was ordered"),
            lambda order: _where(order, tools),
        )
        yield _prompt(
            "send_something_back",
            "Send something back",
            "Stop an order that is still pending, or find out how it can be returned.",
            ("order", "An order's id, or what was ordered"),
            lambda order: _back(order, tools),
        )


def _prompt(name: str, title: str, description: str, argument: tuple[str, str], text: Callable[[str], str]) -> Prompt:
    key, meaning = argument

    async def said(**given: object) -> str:
        return text(plain(given.get(key) or "", _MOST))

    # Made by hand: the SDK would derive a model from the function at every start.
    known = PromptArgument(name=key, description=meaning, required=False)
    return Prompt(name=name, title=title, description=description, arguments=[known], fn=said, context_kwarg=None)


def _buy(what: str, tools: Collection[str]) -> str:
    wish = f"I want to buy this: {what}" if what else "I want to buy something. Ask me what, and for how much at most."
    search = " Find it with search_products, and see with check_product that it can be ordered." * (
        "search_products" in tools and "check_product" in tools
    )
    ways = " or ".join(name for name in _BUYING if name in tools)
    return (
        f"{wish}\n\n{search.strip()} Tell me the exact product, seller, variant and price, where it goes, and the most "
        f"it may cost, and wait for my answer. Then order it once with {ways}, and follow it until it is placed."
    ).replace("\n\n ", "\n\n")


def _where(order: str, tools: Collection[str]) -> str:
    wish = f"Where is this order of mine: {order}" if order else "Where is my newest order?"
    find = "Find it with list_orders if I gave no id, and look" if "list_orders" in tools else "Look"
    return (
        f"{wish}\n\n{find} it up with get_order. Tell me how it stands, where the parcel is, and when it should arrive."
    )


def _back(order: str, tools: Collection[str]) -> str:
    wish = f"I want to send this back: {order}" if order else "I want to send something back. Ask me what."
    find = "Find it with list_orders if I gave no id, and look" if "list_orders" in tools else "Look"
    stop = " If it is still pending, offer to stop it with cancel_order." if "cancel_order" in tools else ""
    back = (
        " Otherwise ask me which items, how many and why, and file it with return_order."
        if "return_order" in tools
        else " Otherwise tell me what I need to ask Zinc about a return: the order's id, the items, and how it stands."
    )
    return f"{wish}\n\n{find} it up with get_order.{stop}{back}"
