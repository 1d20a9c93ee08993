"""Device profiles, clinical rules and the wire: what hub, cloud and simulator must agree on, and nothing else.

Depends on the standard library alone; `wire/codec.py` also uses msgpack.
"""
