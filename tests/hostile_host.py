"""An Ollama host that lies."""

import asyncio
import json

ATTACK = "\"'></li><script>alert(1)</script>"
ODD = "\0\x1b[2J\r\n\u2028\u202e\ud83d"


class HostileHost:
    """Says the same everywhere: as name, version, family, capability, and as an error."""

    def __init__(self, said: str) -> None:
        self.said = said
        self.url = ""

    async def __aenter__(self) -> "HostileHost":
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status, body = self._said_at(head.split()[1])
        raw = json.dumps(body).encode()
        told = f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
        writer.write(f"HTTP/1.1 {status} As I say\r\n{told}".encode() + raw)
        await writer.drain()
        writer.close()

    def _said_at(self, path: str) -> tuple[int, dict[str, object]]:
        said = self.said
        details = {"family": said, "families": [said], "parameter_size": said, "quantization_level": said}
        model = {"name": said, "model": said, "digest": said, "details": details, "expires_at": said, "size_vram": said}
        match path:
            case "/api/version":
                return 200, {"version": said}
            case "/api/tags" | "/api/ps":
                return 200, {"models": [model]}
            case "/api/show":
                texts = dict.fromkeys(["template", "license", "modelfile", "parameters", "system"], said)
                return 200, {
                    "capabilities": ["completion", said],
                    "details": details,
                    "model_info": {said: said},
                    **texts,
                }
        return 500, {"error": said}
