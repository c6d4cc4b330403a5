#!/usr/bin/env python3
"""``python3 manage.py up`` serves the portal, ``python3 manage.py test`` tests it; the rest is Django's."""

import sys

from webui import bootstrap

if __name__ == "__main__":
    bootstrap.main(sys.argv[1:])
