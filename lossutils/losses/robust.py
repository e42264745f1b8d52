"""Robust losses: bounded or redescending influence."""

__all__: list[str] = []
