"""Where the embedded PostgreSQL keeps its data and its socket, and which account owns them."""

import hashlib
import os
import pwd
import sys
from pathlib import Path

from .errors import ForeignData, NoAccount, UnsafeSocket

# The socket's address must fit a sockaddr_un: 104 bytes on macOS, 108 on Linux, ending included.
LONGEST_SOCKET_PATH = 100
SOCKET_NAME = ".s.PGSQL.5432"
DATA = "pgdata"  # below the root
# Not $TMPDIR: every process that shares the server must find the same socket.
TEMPORARY = Path("/tmp")  # noqa: S108 -- the directory made in it is refused unless private


def settle(root: Path) -> tuple[Path, pwd.struct_passwd | None]:
    """Where the data shall live, and the account to run PostgreSQL as; None: as ourselves.

    Root is refused by PostgreSQL, and opening somebody's private directories is not ours to do. So where
    the account cannot reach ``root``, the data lives below /var/lib instead. Raises NoAccount and ForeignData.
    """
    if os.geteuid() != 0:
        return root, None
    account = _account_for(root)
    private = private_ancestor(root, account)
    if private is None:
        return root, account
    moved = Path("/var/lib") / f"teahouse-{_short_hash(root)}" / root.name
    if not moved.exists():
        sys.stderr.write(f"Running as root and {private} is private: the database lives in {moved}\n")
    return moved, _account_for(moved)


def _account_for(root: Path) -> pwd.struct_passwd:
    """Whoever owns the data already, else the first unprivileged account there is."""
    if root.exists() and (owner := root.stat().st_uid) != 0:
        return _account_numbered(owner, root)
    for name in ("teahouse", "postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoAccount("PostgreSQL refuses to run as root, and no account is named teahouse, postgres or nobody.")


def _account_numbered(owner: int, root: Path) -> pwd.struct_passwd:
    """PostgreSQL runs as nobody whom the machine cannot name."""
    try:
        return pwd.getpwuid(owner)
    except KeyError as error:
        raise ForeignData(
            f"{root} belongs to account number {owner}, which this machine does not know: "
            "make an account of that number, or choose another DATA_DIR."
        ) from error


def private_ancestor(path: Path, account: pwd.struct_passwd) -> Path | None:
    """The first directory on the way to ``path`` that the account may not pass through."""
    for ancestor in path.parents:
        if not ancestor.exists():
            continue  # we shall make it ourselves, passable
        status = ancestor.stat()
        owned = status.st_uid == account.pw_uid and status.st_mode & 0o100
        if not (owned or status.st_mode & 0o001):
            return ancestor
    return None


def make_private(root: Path, account: pwd.struct_passwd | None) -> None:
    """Create ``root``, open to its owner alone. Raises ForeignData where another account owns it or its place."""
    try:
        make_passable(root.parent)
        root.mkdir(exist_ok=True)
    except PermissionError as error:
        raise ForeignData(f"{error.filename} cannot be made there: choose a DATA_DIR that is ours.") from error
    if account:
        _refuse_foreign(root / DATA, account.pw_uid)
        os.chown(root, account.pw_uid, account.pw_gid)
    else:
        _refuse_foreign(root, os.geteuid())
        _refuse_foreign(root / DATA, os.geteuid())
    root.chmod(0o700)


def _refuse_foreign(path: Path, ours: int) -> None:
    if path.exists() and (owner := path.stat().st_uid) != ours:
        raise ForeignData(
            f"{path} belongs to account number {owner}, and PostgreSQL would run as number {ours}. Nothing was "
            "changed: start the portal as the account that made it, give it to this one, or choose another DATA_DIR."
        )


def make_passable(folder: Path) -> None:
    """Create the missing directories down to ``folder`` whatever the umask; never change existing ones."""
    if not folder.exists():
        make_passable(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)


def socket_directory(root: Path, account: pwd.struct_passwd | None) -> Path:
    """``root`` itself, or a short private directory where the path is too long for a socket."""
    if len(os.fsencode(root / SOCKET_NAME)) < LONGEST_SOCKET_PATH:
        return root
    owner = account.pw_uid if account else os.geteuid()
    folder = TEMPORARY / f"teahouse-{owner}-{_short_hash(root)}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        _refuse_unless_private(folder, owner)
    else:
        if account:
            os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def _refuse_unless_private(folder: Path, owner: int) -> None:
    status = folder.lstat()
    if folder.is_symlink() or not folder.is_dir() or status.st_uid != owner or status.st_mode & 0o077:
        raise UnsafeSocket(f"{folder} is not a private directory of ours: remove it.")


def _short_hash(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
