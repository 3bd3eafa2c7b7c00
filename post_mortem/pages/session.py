"""Signing in and out."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model, logout
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from trading.models import Desk


class SignIn(LoginView):
    template_name = "post_mortem/sign_in.html"
    redirect_authenticated_user = True

    def get_form(self, form_class: Any = None) -> AuthenticationForm:
        form: AuthenticationForm = super().get_form(form_class)
        wrong = "Name or password is wrong."
        form.error_messages = {**form.error_messages, "invalid_login": wrong, "inactive": wrong}
        return form

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        # Strangers on a network are not told of a demo login, nor that nobody has one yet.
        local = not settings.PRODUCTION
        return super().get_context_data(
            on_demo=local and Desk.objects.filter(is_demo=True).exists(),
            nobody_yet=local and not _someone_can_sign_in(),
            **kwargs,
        )


def _someone_can_sign_in() -> bool:
    passwords = get_user_model().objects.filter(is_active=True).values_list("password", flat=True)
    return any(is_password_usable(password) for password in passwords[:50])


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("pages:sign-in")
