"""A person with a browser, who reads the emulator's pages and fills in its forms."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urljoin

import requests


class Form(HTMLParser):
    """The one form of a page, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.buttons: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = found["action"]
        elif tag == "input":
            self.fields[found["name"]] = found.get("value", "")
        elif tag == "button":
            self.buttons.append(found["value"])

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def answer_login(url: str, username: str = "anna", choice: str = "allow") -> str:
    """Open a login page, say who one is, and press a button. Return where the browser is sent then."""
    page = requests.get(url, timeout=30, allow_redirects=False)
    if page.is_redirect:
        return page.headers["location"]
    assert page.status_code == 200, page.text
    form = Form(page.text)
    assert choice in form.buttons
    data = form.fields | {"username": username, "choice": choice}
    headers = {"Origin": url.partition("/v2/")[0], "Sec-Fetch-Site": "same-origin"}
    sent = requests.post(urljoin(url, form.action), data, headers=headers, timeout=30, allow_redirects=False)
    assert sent.status_code == 303, sent.text
    return sent.headers["location"]


def copy_code(url: str, username: str = "anna") -> str:
    """Allow a login, and return the code that the page after it shows."""
    shown = requests.get(answer_login(url, username), timeout=30)
    assert shown.status_code == 200
    return shown.text.partition('id="auth-code">')[2].partition("<")[0]
