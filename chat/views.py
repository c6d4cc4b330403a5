"""The pages of the chat. Each view reads, asks one service, and renders."""

from typing import Any
from uuid import UUID, uuid4

from django.http import Http404, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect, reswap, trigger_client_event

from chat import live, services, sidebar
from chat.forms import TEXT_LENGTH, DraftForm, EditForm, QuestionForm, TitleForm
from chat.models import Conversation, Draft, Message
from chat.picker import picker_for
from chat.thread import thread_of, turn_of
from webui.http import Request
from webui.text import one_line

Context = dict[str, object]


@require_safe
def new(request: Request) -> HttpResponse:
    """The empty page for a first question; ``?model=`` chooses one."""
    gone = _uuid(request.GET.get("deleted", ""))
    deleted = gone and Conversation.objects.deleted_by(request.user).filter(pk=gone).first()
    context = _page_context(request, None, wanted=request.GET.get("model", "")) | {"deleted": deleted}
    return render(request, "chat/new.html", context)


@require_POST
def start(request: Request) -> HttpResponseBase:
    """The first question opens a conversation and goes to its page."""
    form = QuestionForm(request.POST)
    if not form.is_valid():
        return _composer(request, None, form)
    opened = services.start(owner=request.user, **_question(form))
    return _go_to(request, opened)


@require_safe
def conversation(request: Request, pk: UUID) -> HttpResponse:
    found = _conversation(request, pk)
    thread = thread_of(found)
    context = _page_context(request, found) | {
        "turns": thread.turns,
        "earlier": thread.earlier,
        "answering": thread.answering,
    }
    return render(request, "chat/conversation.html", context)


@require_safe
def earlier(request: Request, pk: UUID) -> HttpResponse:
    """The turns before those already shown, as a part."""
    found = _conversation(request, pk)
    thread = thread_of(found, before=_uuid(request.GET.get("before", "")))
    context = {"turns": thread.turns, "earlier": thread.earlier, "conversation": found}
    return render(request, "chat/_turns.html", context)


@require_POST
def ask(request: Request, pk: UUID) -> HttpResponseBase:
    """Makes the composer ready for the next question. The turns reach this page over the socket, like every other."""
    found = _conversation(request, pk)
    form = QuestionForm(request.POST)
    if form.is_valid():
        try:
            services.ask(conversation=found, author=request.user, **_question(form))
        except services.AlreadyAnswering:
            form.add_error(None, _("Wait for the answer, or stop it first."))
    if form.errors:
        return _composer(request, found, form)
    if request.htmx:
        return _ready_for_the_next(request, found)
    return redirect("chat:conversation", pk=pk)


@require_POST
def stop(request: Request, pk: UUID) -> HttpResponseBase:
    found = _conversation(request, pk)
    services.stop(conversation=found)
    return _done(request, found)


@require_safe
def turn(request: Request, pk: UUID, message: UUID) -> HttpResponse:
    """One turn as a part; puts an edited question back."""
    found = _message(request, pk, message)
    return render(request, "chat/_turn.html", {"turn": turn_of(found), "conversation": found.conversation})


@require_safe
def text(request: Request, pk: UUID, message: UUID) -> HttpResponse:
    """A message as it was written, for the clipboard."""
    return HttpResponse(_message(request, pk, message).text, content_type="text/plain; charset=utf-8")


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: Request, pk: UUID, message: UUID) -> HttpResponseBase:
    """The form to word a question differently; what it sends becomes another version."""
    question = _message(request, pk, message)
    if not question.is_question:
        raise Http404
    form = EditForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            services.edit(
                question=question,
                author=request.user,
                text=form.cleaned_data["text"],
                model=question.conversation.model,
                client_key=form.cleaned_data["client_key"],
            )
            return _done(request, question.conversation)
        except services.AlreadyAnswering:
            form.add_error(None, _("Wait for the answer, or stop it first."))
    context: Context = {
        "turn": turn_of(question),
        "conversation": question.conversation,
        "form": form,
        "text": form["text"].value() if form.is_bound else question.text,
        "next_version": question.siblings.count() + 1,
        "client_key": uuid4(),
    }
    return render(request, "chat/_edit.html", context)


@require_POST
def again(request: Request, pk: UUID, message: UUID) -> HttpResponseBase:
    """Write another version of an answer, with another model if one is named."""
    answer = _answer(request, pk, message)
    try:
        services.answer_again(answer=answer, asker=request.user, model=one_line(request.POST.get("model", ""))[:400])
    except (services.AlreadyAnswering, services.NothingToContinue):
        return _busy(request, answer.conversation)
    return _done(request, answer.conversation)


@require_POST
def go_on(request: Request, pk: UUID, message: UUID) -> HttpResponseBase:
    """Let an unfinished answer go on."""
    answer = _answer(request, pk, message)
    try:
        services.go_on(answer=answer, asker=request.user)
    except (services.AlreadyAnswering, services.NothingToContinue):
        return _busy(request, answer.conversation)
    return _done(request, answer.conversation)


@require_POST
def version(request: Request, pk: UUID, message: UUID) -> HttpResponseBase:
    """Show the branch of this version."""
    shown = _message(request, pk, message)
    services.show_version(message=shown)
    return _done(request, shown.conversation)


@require_http_methods(["GET", "HEAD", "POST"])
def title(request: Request, pk: UUID) -> HttpResponseBase:
    """The form to rename a conversation."""
    found = _conversation(request, pk)
    form = TitleForm(request.POST if request.method == "POST" else None, initial={"title": found.title})
    if form.is_bound and form.is_valid():
        services.rename(conversation=found, title=form.cleaned_data["title"])
        return _done(request, found)
    return render(request, "chat/_rename.html", {"conversation": found, "form": form})


@require_POST
def delete(request: Request, pk: UUID) -> HttpResponseBase:
    """Out of sight at once; the next page offers the way back."""
    found = _conversation(request, pk)
    services.delete(conversation=found)
    return redirect(live.after_deleting(pk))


@require_POST
def restore(request: Request, pk: UUID) -> HttpResponseBase:
    found = get_object_or_404(Conversation.objects.owned_by(request.user), pk=pk)
    services.restore(conversation=found)
    return _go_to(request, found)


@require_POST
def draft(request: Request, pk: UUID) -> HttpResponse:
    return _save_draft(request, _conversation(request, pk))


@require_POST
def new_draft(request: Request) -> HttpResponse:
    return _save_draft(request, None)


@require_safe
def conversations(request: Request) -> HttpResponse:
    """More rows of the person's list, as a part."""
    try:
        rows = sidebar.rows_before(request.user, request.GET.get("before", ""))
    except ValueError as error:
        raise Http404 from error
    return render(request, "chat/_rows.html", {"sidebar": rows})


@require_safe
def shortcuts(request: Request) -> HttpResponse:
    """The keys that work, as a part of any page."""
    return render(request, "chat/_shortcuts.html")


def _conversation(request: Request, pk: UUID) -> Conversation:
    return get_object_or_404(Conversation.objects.visible_to(request.user), pk=pk)


def _message(request: Request, pk: UUID, message: UUID) -> Message:
    visible = Message.objects.visible_to(request.user).select_related("conversation", "author")
    return get_object_or_404(visible, pk=message, conversation=pk)


def _answer(request: Request, pk: UUID, message: UUID) -> Message:
    found = _message(request, pk, message)
    if found.is_question:
        raise Http404
    return found


def _question(form: QuestionForm) -> dict[str, Any]:
    return {
        "text": form.cleaned_data["text"],
        "model": form.cleaned_data["model"],
        "think": form.cleaned_data["think"] == "on" if "think" in form.data else None,
        "client_key": form.cleaned_data["client_key"],
    }


def _page_context(request: Request, shown: Conversation | None, *, wanted: str = "") -> Context:
    return _composer_context(request, shown, wanted=wanted) | {"sidebar": sidebar.first_rows(request.user)}


def _composer_context(request: Request, shown: Conversation | None, *, wanted: str = "") -> Context:
    picker = picker_for(request.user, wanted=wanted, conversation=shown)
    kept = Draft.objects.filter(user=request.user, conversation=shown).values_list("text", flat=True).first()
    return {
        "conversation": shown,
        "models": picker,
        "chosen": picker.chosen,
        "think": shown.options.get("think") if shown else None,
        "draft": kept or "",
        "longest": TEXT_LENGTH,
        "client_key": uuid4(),
        "saving_is_delayed": live.saving_is_delayed(),
    }


def _ready_for_the_next(request: Request, shown: Conversation) -> HttpResponse:
    """What changes in the composer when a question was taken; the page empties the field itself."""
    response = render(request, "chat/_asked.html", {"conversation": shown, "client_key": uuid4(), "answering": True})
    return reswap(trigger_client_event(response, "asked"), "none")


def _composer(request: Request, shown: Conversation | None, refused: QuestionForm) -> HttpResponse:
    """The composer with what was refused, and why."""
    context = _composer_context(request, shown, wanted=request.POST.get("model", ""))
    context |= {"draft": refused.data.get("text", ""), "errors": _sentences(refused)}
    if not request.htmx:
        page: Context = {"sidebar": sidebar.first_rows(request.user)}
        if shown is None:
            return render(request, "chat/new.html", context | page)
        thread = thread_of(shown)
        page |= {"turns": thread.turns, "earlier": thread.earlier, "answering": thread.answering}
        return render(request, "chat/conversation.html", context | page)
    context["answering"] = bool(shown and shown.runs.live().exists())
    return render(request, "chat/_composer.html", context)


def _sentences(form: QuestionForm) -> list[str]:
    return [str(sentence) for errors in form.errors.values() for sentence in errors]


def _save_draft(request: Request, shown: Conversation | None) -> HttpResponse:
    form = DraftForm(request.POST)
    if form.is_valid():
        services.save_draft(user=request.user, conversation=shown, text=form.cleaned_data["text"])
    return HttpResponse(status=204)


def _done(request: Request, shown: Conversation) -> HttpResponseBase:
    """The page hears of the change over its socket; without script it is loaded again."""
    if request.htmx:
        return HttpResponse(status=204)
    return redirect("chat:conversation", pk=shown.pk)


def _busy(request: Request, shown: Conversation) -> HttpResponseBase:
    if request.htmx:
        return HttpResponse(_("Wait for the answer, or stop it first."), status=409)
    return redirect("chat:conversation", pk=shown.pk)


def _go_to(request: Request, shown: Conversation) -> HttpResponseBase:
    address = reverse("chat:conversation", kwargs={"pk": shown.pk})
    return HttpResponseClientRedirect(address) if request.htmx else HttpResponseRedirect(address)


def _uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None
