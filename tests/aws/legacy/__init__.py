"""A compactor as the Python system has it, for tests and benchmarks that need a peer.

It keeps the wire contract of the newest Python writer: same keys, same lock item, same run
item, and a pointer that is put without any condition. Run as ``python -m legacy <command>``
with ``tests/aws`` in ``PYTHONPATH`` and the packages of
``tests/requirements/chromadb-1.5.9.txt`` installed.
"""
