"""The audit log."""

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from models_admin.audit_views import ACTIONS
from tests.conftest import PASSWORD
from tests.pages import Page, table_in, text_of
from tests.test_access_matrix import ADMINISTRATORS
from tests.test_forms import FORMS, url_of, work  # noqa: F401  a fixture
from webui.accounts import audit
from webui.accounts.models import AuditEntry

pytestmark = pytest.mark.django_db

LOOKS_ONLY = {"models_admin:modelfile_check"}


@pytest.fixture
def entries(root, rf):
    """``entries("host_added gpu-01", ...)``: so many entries of root, the oldest first."""

    def entries(*said: str) -> None:
        request = rf.get("/", REMOTE_ADDR="10.20.7.14")
        request.user = root
        for each in said:
            action, _, what = each.partition(" ")
            audit.record(request, action, what)

    return entries


def shown(answer) -> list[str]:
    body = Page(answer.content.decode()).find("audit").find(".//tbody")
    return [] if body is None else [" ".join(text_of(row).split()) for row in body]


@pytest.fixture
def roots(client, root) -> Client:
    client.force_login(root)
    return client


@pytest.mark.parametrize("name", sorted((FORMS.keys() & ADMINISTRATORS) - LOOKS_ONLY))
@pytest.mark.usefixtures("work")
def test_every_act_of_an_administrator_leaves_one_entry(name, roots, root, answer):
    """S58."""
    roots.post(url_of(name, answer), FORMS[name])

    entry = AuditEntry.objects.get()
    assert entry.who == root
    assert entry.action in ACTIONS
    assert entry.address == "127.0.0.1"


def test_ways_in_are_recorded_and_no_password_is(client, alice):
    """S58."""
    client.post("/sign-in/", {"username": "alice", "password": "SECRET-WORD"})
    client.post("/sign-in/", {"username": "SECRET-WORD", "password": "x"})
    client.post("/sign-in/", {"username": "alice", "password": PASSWORD})
    client.post("/sign-out/")

    found = AuditEntry.objects.order_by("pk").values_list("action", "what", "who__username")
    assert list(found) == [
        ("sign_in_failed", "alice", None),
        ("sign_in_failed", "", None),
        ("signed_in", "", "alice"),
        ("signed_out", "", "alice"),
    ]


def test_whoever_is_refused_is_recorded(client, alice):
    """S58."""
    client.force_login(alice)
    client.get("/hosts/")

    entry = AuditEntry.objects.get()
    assert (entry.who, entry.action, entry.what) == (alice, "refused", "/hosts/")


def test_nobody_fills_the_log_with_refusals(client, alice, bob, monkeypatch):
    """S58. What everybody else did would be hard to find among them."""
    monkeypatch.setattr(audit, "REFUSALS_A_MINUTE", 2)
    client.force_login(alice)
    for page in ("/hosts/", "/audit/", "/queue/"):
        client.get(page)
    client.force_login(bob)
    client.get("/hosts/")

    assert list(AuditEntry.objects.order_by("pk").values_list("who__username", "what")) == [
        ("alice", "/hosts/"),
        ("alice", "/audit/"),
        ("bob", "/hosts/"),
    ]


def test_what_fails_is_not_recorded(rf, root):
    request = rf.get("/")
    request.user = root
    with pytest.raises(RuntimeError), audit.recorded(request, "host_added"):
        raise RuntimeError
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("change", [lambda found: found.update(what="x"), lambda found: found.delete()])
def test_the_database_refuses_to_change_an_entry(entries, change):
    """S58."""
    entries("host_added gpu-01")
    with pytest.raises(DatabaseError, match="only grows"), transaction.atomic():
        change(AuditEntry.objects.all())


def test_only_what_changed_is_kept(rf, root):
    request = rf.get("/")
    request.user = root
    audit.record(request, "host_changed", "gpu", before={"slots": 1, "name": "gpu"}, after={"slots": 2, "name": "gpu"})

    entry = AuditEntry.objects.get()
    assert (entry.before, entry.after) == ({"slots": 1}, {"slots": 2})


def test_the_newest_is_first_and_older_ones_are_a_page_away(roots, entries):
    entries(*(f"host_added gpu-{number}" for number in range(60)))

    page = roots.get("/audit/")
    assert [row.split()[6] for row in shown(page)][:2] == ["gpu-59", "gpu-58"]
    older = Page(page.content.decode()).find("audit").findall(".//a")[-1].get("href")
    assert len(shown(roots.get(older))) == 10


@pytest.mark.parametrize(
    "query", [{"q": "gpu-02"}, {"action": "host_removed"}, {"q": "removed"}, {"q": "Root gpu-02", "days": "7"}]
)
def test_the_log_is_searched(roots, entries, query):
    entries("host_added gpu-01", "host_removed gpu-02")

    (row,) = shown(roots.get("/audit/", query))
    assert "gpu-02" in row


def test_nothing_found_says_so(roots):
    assert "Nothing like that was done" in roots.get("/audit/", {"q": "nobody"}).content.decode()


def test_the_export_holds_what_is_wanted_and_no_formulas(roots, entries):
    """S54."""
    entries("host_added gpu-01", "host_removed =cmd()")

    _head, row = table_in(roots.get("/audit/audit.csv", {"action": "host_removed"}))

    assert row[1:4] == ["root", "host_removed", "'=cmd()"]
