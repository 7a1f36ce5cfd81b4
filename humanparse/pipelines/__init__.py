"""Pipelines turn pictures into `Parsing`s, with networks that are already loaded."""
