"""Kernels on plain tensors and arrays; each is a leaf beside its reference."""
