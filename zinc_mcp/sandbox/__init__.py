"""A Zinc to practise on: the same paths, bodies, codes and odd corners, in process or on a port."""

from zinc_mcp.sandbox.sandbox import Dialect, Sandbox

__all__ = ["Dialect", "Sandbox"]
