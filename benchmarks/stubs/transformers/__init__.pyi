"""Any type for the peer: reading its own types takes as long as checking this whole project."""

from typing import Any

def __getattr__(name: str) -> Any: ...
