#!/usr/bin/env python3
"""``python3 manage.py up`` serves the portal, ``python3 manage.py test`` tests it; the rest is Django's."""

import sys

# Before the first import of ours, in words that even a very old Python understands.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("Teahouse needs Python 3.11 or later, and this is Python %d.%d." % sys.version_info[:2])  # noqa: UP031

from webui import bootstrap

if __name__ == "__main__":
    bootstrap.main(sys.argv[1:])
