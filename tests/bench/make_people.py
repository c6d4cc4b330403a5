"""``python -m tests.bench.make_people COUNT``: prints a session and a conversation for each new person."""

import sys
import uuid

import django

if __name__ == "__main__":
    django.setup()

    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from chat.models import Conversation
    from webui.accounts.models import User

    for _ in range(int(sys.argv[1])):
        person = User(username=uuid.uuid4().hex[:20])
        person.set_unusable_password()
        person.save()
        session = SessionStore()
        session[SESSION_KEY] = str(person.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = person.get_session_auth_hash()
        session.create()
        conversation = Conversation.objects.create(owner=person, title="Measured")
        print(session.session_key, conversation.pk)
