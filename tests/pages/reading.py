"""Reading pages in tests: their HTML, and what a reader sees of it."""

from __future__ import annotations

import re

from django.test import Client


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return " ".join(answer.content.decode().split())


def text(html: str) -> str:
    """What a reader sees of a page."""
    body = re.sub(r"<script.*?</script>|<svg.*?</svg>", " ", html, flags=re.S)
    body = re.sub(r"<[^>]+>", " ", body).replace("&#x27;", "'").replace("\N{NO-BREAK SPACE}", " ")
    return " ".join(body.split()).replace(" .", ".").replace(" ,", ",").replace(" :", ":")
