"""The sandbox, a practice Zinc with the same paths, bodies and codes, in process or on a port."""

from zinc_mcp.sandbox.sandbox import Dialect, Sandbox

__all__ = ["Dialect", "Sandbox"]
