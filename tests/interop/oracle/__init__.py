"""Drives the real chromadb as the oracle of the interop tests.

Run as ``python -m oracle <command>`` from ``tests/interop`` with an interpreter
that has one of the chromadb versions of ``tests/requirements`` installed.
"""
