"""The practice host: speaks Ollama's protocol, with small scripted models, for trying the portal without a GPU.

Standard library only. Its models say in their answers that they are no language models.
"""

from .host import PracticeHost, Request

__all__ = ["PracticeHost", "Request"]
