"""The cast: alice owns, bob is a colleague, carol is a stranger, root administers."""

import uuid

import pytest
from asgiref.sync import sync_to_async
from django.conf import global_settings
from django.core.management.commands import flush
from django.db import connection, connections
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test import Client, override_settings
from django.utils import timezone

from chat.models import Conversation, Message
from chat.runs.driver import Driver
from chat.runs.sweep import go_on, sweep
from webui.accounts.models import User
from webui.inference import door
from webui.inference.clients import close_clients
from webui.inference.models import Host, InstalledModel
from webui.practice import PracticeHost

PASSWORD = "correct horse battery"
# All but what the migrations made. A trigger refuses to delete entries of the audit log.
EMPTY = """
do $$ declare known text; begin
  if exists (select from accounts_auditentry) then truncate accounts_auditentry; end if;
  for known in select tablename from pg_tables where schemaname = current_schema() and tablename not in
    ('accounts_auditentry', 'auth_permission', 'django_content_type', 'django_migrations', 'django_site')
  loop execute format('delete from %I', known); end loop;
end $$
"""


@pytest.fixture(autouse=True, scope="session")
def plain_static_files():
    """Names without hashes: only a serving process collects the files."""
    plain = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
    with override_settings(STORAGES={**global_settings.STORAGES, **plain}):
        yield


@pytest.fixture(autouse=True, scope="session")
def quick_passwords():
    """A password that is slow to try is slow to make; the tests with a real server process keep the real way."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup):
    """pytest-django's own. On a busy machine it takes long to drop the database in the end."""
    yield
    connection.settings_dict["OPTIONS"]["options"] = ""


@pytest.fixture(autouse=True, scope="session")
def quick_flush():
    """Tables are emptied after a test that commits. To truncate them takes half a second, for a few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", lambda *_, **__: [EMPTY])
        patch.setattr(flush, "emit_post_migrate_signal", lambda *_, **__: None)
        yield


@pytest.fixture
def root(db) -> User:
    """Who set the portal up."""
    return User.objects.create_user("root", PASSWORD, display_name="Root", is_admin=True)


@pytest.fixture
def alice(root) -> User:
    return User.objects.create_user("alice", PASSWORD, display_name="Alice")


@pytest.fixture
def bob(root) -> User:
    return User.objects.create_user("bob", PASSWORD, display_name="Bob")


@pytest.fixture
def carol(root) -> User:
    return User.objects.create_user("carol", PASSWORD, display_name="Carol")


@pytest.fixture
def roots(root) -> Client:
    """Root's browser."""
    return _signed_in(root)


@pytest.fixture
def alices(alice) -> Client:
    return _signed_in(alice)


def _signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def host(db) -> Host:
    return Host.objects.create(name="gpu-01", base_url="http://127.0.0.1:9", health=Host.Health.WELL)


@pytest.fixture
def conversation(alice) -> Conversation:
    """Alice asked once and was answered."""
    conversation = Conversation.objects.create(owner=alice, title="Plans", model="practice:latest")
    question = conversation.messages.create(role="user", author=alice, text="What shall we do?")
    answer = conversation.messages.create(
        role="assistant", parent=question, text="Drink *tea*.", model="practice:latest", host="gpu-01"
    )
    conversation.head = answer
    conversation.save()
    return conversation


@pytest.fixture
def answer(conversation) -> Message:
    return conversation.head


@pytest.fixture
def key() -> uuid.UUID:
    return uuid.uuid4()


@pytest.fixture
async def practice():
    """A practice host that answers as fast as it can."""
    async with PracticeHost(faults=True) as host:
        yield host


@pytest.fixture
async def practice_models(practice, transactional_db) -> Host:
    """The practice host as the portal knows it."""
    return await sync_to_async(install)(practice.url)


def install(url: str, name: str = "practice") -> Host:
    host = Host.objects.create(name=name, base_url=url, practice=True, slots=4, health=Host.Health.WELL)
    for model in ("practice:latest", "practice-markdown:latest", "practice-thinker:latest"):
        InstalledModel.objects.create(
            host=host,
            name=model,
            digest=f"sha256:{model}",
            capabilities=["completion", *(["thinking"] if "thinker" in model else [])],
            loaded=True,
            seen_at=timezone.now(),
        )
    return host


@pytest.fixture
async def driver(practice_models):
    """This process drives runs, on the test's own loop."""
    driver = Driver(sweep=sweep, go_on=go_on)
    driver.open()
    yield driver
    await driver.close(0)
    await door.turns.close()
    await close_clients()
    await sync_to_async(connections.close_all)()
