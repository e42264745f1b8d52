"""The interactive explorers: pages to play with, one module each."""
