"""A Tempo node on a loopback port, whose blocks the test advances."""

import asyncio
import importlib
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from zinc_mcp.payments.tempo_chain import TRANSFER_WITH_MEMO

MODERATO = 42431


class FakeTempo:
    """Decodes and settles transactions; needs the `tempo` extra for its cryptography."""

    def __init__(self) -> None:
        self.chain_id = MODERATO
        self.gas_price = 20_000_000_000
        self.balance = 10**12
        self.head = 1_000
        self.ahead = 0.0
        """Seconds by which the newest block is ahead of the clock."""
        self.broken: set[str] = set()
        """Methods that answer with an error."""
        self.hides_logs = False
        self.calls: list[str] = []
        self.settled: dict[str, dict[str, Any]] = {}
        self._rlp: Any = importlib.import_module("rlp")
        self._keccak: Any = importlib.import_module("eth_hash.auto").keccak
        self._keys: Any = importlib.import_module("eth_keys").keys

    def answer(self, method: str, parameters: list[Any]) -> Any:
        """Answer one JSON-RPC call."""
        self.calls.append(method)
        if method in self.broken:
            raise ValueError("planted words of the node")
        match method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_gasPrice":
                return hex(self.gas_price)
            case "eth_estimateGas":
                return hex(270_000)
            case "eth_call":
                return hex(self.balance)
            case "eth_blockNumber":
                return hex(self.head)
            case "eth_getBlockByNumber":
                return {"number": parameters[0], "timestamp": hex(int(time.time() + self.ahead))}
            case "tempo_simulateV1":  # a sponsor looks before it pays the fee
                return {"blocks": [{"calls": [{"status": "0x1"}]}]}
            case "eth_sendRawTransactionSync":
                return self.settle(bytes.fromhex(parameters[0][2:]))
            case "eth_getTransactionReceipt":
                return self.settled.get(parameters[0])
            case "eth_getLogs":
                return [] if self.hides_logs else self._logs(parameters[0])
            case _:
                raise ValueError(method)

    def settle(self, raw: bytes) -> dict[str, Any]:
        """Include a transaction in the next block."""
        fields: list[Any] = self._rlp.decode(raw[1:])
        reference = "0x" + self._keccak(raw).hex()
        expired = int.from_bytes(fields[8]) <= time.time() + self.ahead
        if raw[0] != 0x76 or int.from_bytes(fields[0]) != self.chain_id or expired or reference in self.settled:
            raise ValueError("not a transaction to include")
        self.head += 1
        sender = self._sender(fields)
        logs = [
            {
                "address": "0x" + to.hex(),
                "topics": [
                    TRANSFER_WITH_MEMO,
                    "0x" + "00" * 12 + sender[2:],
                    "0x" + data[4:36].hex(),
                    "0x" + data[68:100].hex(),
                ],
                "data": "0x" + data[36:68].hex(),
                "transactionHash": reference,
                "blockNumber": hex(self.head),
            }
            for to, _, data in fields[4]
            if data[:4].hex() == "95777d59"
        ]
        self.settled[reference] = {"transactionHash": reference, "status": "0x1", "from": sender, "logs": logs}
        return self.settled[reference]

    def _sender(self, fields: list[Any]) -> str:
        signature = fields[-1]
        if len(signature) == 86:  # an access key: 0x03, the root account, the key's signature
            return f"0x{signature[1:21].hex()}"
        body = list(fields[:-1])
        if body[11] != b"":  # a sponsor's signature came later: the payer signed without it and without its token
            body[10], body[11] = b"", b"\0"
        parity = signature[64] - 27 if signature[64] >= 27 else signature[64]
        vrs = (parity, int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]))
        digest = self._keccak(b"\x76" + self._rlp.encode(body))
        return str(self._keys.Signature(vrs=vrs).recover_public_key_from_msg_hash(digest).to_address())

    def _logs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        def fits(log: dict[str, Any]) -> bool:
            first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
            return first <= int(log["blockNumber"], 16) <= last and all(
                want is None or want.lower() == have for want, have in zip(wanted["topics"], log["topics"], strict=True)
            )

        return [log for receipt in self.settled.values() for log in receipt["logs"] if fits(log)]

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[str]:
        """Serve on a loopback port; yields the address."""

        async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            lines = [line for line in head.split("\r\n") if line.startswith("content-length:")]
            call = json.loads(await reader.readexactly(int(lines[0].split(":")[1])))
            reply: dict[str, Any] = {"jsonrpc": "2.0", "id": call["id"]}
            try:
                reply["result"] = self.answer(call["method"], call["params"])
            except ValueError as error:
                reply["error"] = {"code": -32000, "message": str(error)}
            body = json.dumps(reply).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n")
            writer.write(b"content-length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/planted-node-key"
        finally:
            server.close()
            await server.wait_closed()
