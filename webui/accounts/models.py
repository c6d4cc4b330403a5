"""Who someone is."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _


class Limits(models.Model):
    """How much may be asked of models; None is no limit. What they mean together: ``webui/inference/quotas.py``."""

    tokens_per_day = models.PositiveBigIntegerField(null=True, blank=True)
    at_once = models.PositiveIntegerField(null=True, blank=True)
    per_minute = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        abstract = True


LIMITS = ("tokens_per_day", "at_once", "per_minute")


class UserManager(BaseUserManager["User"]):
    def create_user(
        self, username: str, password: str | None = None, *, display_name: str = "", is_admin: bool = False
    ) -> "User":
        user = self.model(
            username=self.model.normalize_username(username), display_name=display_name, is_admin=is_admin
        )
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        """Sign-in does not care about capitals."""
        return self.get(username__iexact=username)


class User(Limits, AbstractBaseUser):
    """A person with an account. Deactivating, not deleting, is how somebody leaves.

    A limit of their own stands in place of those of their groups.
    """

    class Language(models.TextChoices):
        ENGLISH = "en", "English"
        CHINESE = "zh-hans", "简体中文"

    class Theme(models.TextChoices):
        SYSTEM = "", _("Like the system")
        LIGHT = "light", _("Light")
        DARK = "dark", _("Dark")

    class SendKey(models.TextChoices):
        ENTER = "enter", _("Enter")
        CTRL_ENTER = "ctrl", _("Ctrl + Enter")

    username = models.CharField(max_length=150, validators=[UnicodeUsernameValidator()])
    display_name = models.CharField(max_length=80, blank=True)
    language = models.CharField(max_length=10, choices=Language.choices, blank=True)
    theme = models.CharField(max_length=10, choices=Theme.choices, blank=True)
    send_key = models.CharField(max_length=10, choices=SendKey.choices, default=SendKey.ENTER)
    is_admin = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "username"

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints = [models.UniqueConstraint(Lower("username"), name="one_user_per_username")]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """What other people see."""
        return self.display_name or self.username

    @cached_property
    def may_use_playground(self) -> bool:
        return self.is_admin or self.member_of.filter(playground=True).exists()


class Group(Limits):
    """People who have something in common: which models they may use, which one they begin with, and how much.

    ``playground``: they may also ask models without a conversation around it. The limits are for each of them.
    """

    name = models.CharField(max_length=80)
    about = models.CharField(max_length=200, blank=True)
    playground = models.BooleanField(default=False, db_default=False)
    members: "models.ManyToManyField[User, Membership]" = models.ManyToManyField(
        User, through="Membership", related_name="member_of"
    )

    class Meta:
        constraints = [models.UniqueConstraint(Lower("name"), name="one_group_per_name")]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """Somebody in a group."""

    class Role(models.TextChoices):
        MEMBER = "member"
        MANAGER = "manager"

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MEMBER)

    class Meta:
        constraints = [models.UniqueConstraint(name="once_in_a_group", fields=["group", "user"])]

    def __str__(self) -> str:
        return f"{self.user} in {self.group}"


class AccessToken(Limits):
    """What a script shows instead of a password. Only its hash is kept; ``prefix`` tells its owner which one it is.

    ``allowed`` are the shortest names of the models it may use; without any, all that its owner may use. Its limits
    come on top of its owner's.
    """

    class Scope(models.TextChoices):
        USE = "use", _("Use models")
        ADMIN = "admin", _("Use and administer models")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scope = models.CharField(max_length=8, choices=Scope.choices, default=Scope.USE)
    allowed = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class AuditEntry(models.Model):
    """Who did what, when and from where. The database refuses to change or remove one.

    ``what`` names the object; ``before`` and ``after`` are its fields that changed. Never a secret, never
    what people write to models.
    """

    at = models.DateTimeField(auto_now_add=True)
    who = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    action = models.CharField(max_length=40)
    what = models.CharField(max_length=400, blank=True)
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    address = models.CharField(max_length=45, blank=True)

    class Meta:
        indexes = [models.Index(fields=["-at", "-id"], name="audit_newest_first")]

    def __str__(self) -> str:
        return f"{self.action} {self.what}"
