"""``python -m webui.practice``: the practice host alone."""

import argparse
import asyncio
import sys

from .host import PracticeHost


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="practice", description="An Ollama-compatible host with scripted models.")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11435)
    parser.add_argument("--speed", type=float, default=60, help="pieces a second; 0: as fast as possible")
    parser.add_argument("--slots", type=int, default=2, help="answers at once per model")
    parser.add_argument("--faults", action="store_true", help="list the models that misbehave")
    parser.add_argument("--old", action="store_true", help="make models from Modelfiles, as hosts before 0.5.5 do")
    return parser.parse_args()


async def serve(chosen: argparse.Namespace) -> None:
    host = PracticeHost(
        address=chosen.address,
        port=chosen.port,
        speed=chosen.speed or None,
        slots=chosen.slots,
        faults=chosen.faults,
        old=chosen.old,
    )
    async with host:
        sys.stdout.write(f"The practice host listens at {host.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(serve(arguments()))
    except KeyboardInterrupt:
        sys.exit(0)
