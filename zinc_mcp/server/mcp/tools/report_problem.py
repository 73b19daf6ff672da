"""`report_problem`: a case with Zinc's support about an order: opened, given a message, or closed."""

from collections.abc import Mapping
from typing import Annotated, Any

from mcp.server.mcpserver.tools import Tool
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from zinc_mcp.aftercare.case import MAX_MESSAGE, Report, report_problem
from zinc_mcp.process import Answer
from zinc_mcp.server.mcp.arguments import normalized, validated
from zinc_mcp.server.mcp.tools.changing import changing
from zinc_mcp.server.mcp.tools.return_order import Handle, plain_words
from zinc_mcp.server.mcp.tools.tool import Service
from zinc_mcp.zinc.aftercare.cases import CaseReason

_DESCRIPTION = (
    "Report a problem with an order to Zinc's support, say more about it, or close it. One case of an order is open "
    "at once: while it is, a further call adds a message. The user may be asked first; get_order shows the answers."
)


class Problem(BaseModel):
    """The arguments of `report_problem`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    order_id: Handle = Field(description="Zinc's order id, or the key of the placing call")
    reason: CaseReason | None = Field(None, description="Needed to open a case, not to add to it or close it")
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] | None = Field(
        None, description="Needed unless close; for address_change the whole new address"
    )
    close: Annotated[bool, Field(strict=True)] = Field(False, description="Close the open case; without a message")

    @field_validator("message")
    @classmethod
    def _plain(cls, text: str | None) -> str | None:
        return plain_words(text)

    @model_validator(mode="after")
    def _says_something(self) -> "Problem":
        if self.close and self.message is not None:
            raise ValueError("message: is left out when the case is closed; send it first, then close")
        if not self.close and self.message is None:
            raise ValueError("message: is required, unless close is true")
        return self


def tool(service: Service) -> Tool:
    """Return the tool."""

    async def do(caller: str, wanted: Problem) -> Answer:
        return await report_problem(
            service.process, Report(caller, wanted.order_id, wanted.reason, wanted.message, wanted.close)
        )

    return changing(
        service,
        "case",
        "report_problem",
        "Report a problem",
        _DESCRIPTION,
        arguments=Problem,
        read=_read,
        handle=lambda wanted: wanted.order_id,
        do=do,
    )


def _read(given: Mapping[str, Any]) -> Problem:
    return validated(Problem, normalized(Problem, given))
