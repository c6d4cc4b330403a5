"""The guarded server: Daphne, with a bound on everything that a peer may make us keep or wait for."""

from .limits import Limits
from .process import CannotListen, serve

__all__ = ["CannotListen", "Limits", "serve"]
