"""What every page promises: one file, no scripts, nothing fetched, and usable without seeing it."""

import re
from html.parser import HTMLParser

NOTICE = "Research use only. Not a medical device; never a diagnosis."


class Page(HTMLParser):
    """Tags with their attributes, ids, and the text outside of <style>."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.inside != "style":
            self.words.append(data)

    def handle_endtag(self, tag):
        self.inside = ""


def check_page(html: str) -> Page:
    """The page, after checking that it keeps the promises."""
    page = Page(html)
    _check_that_nothing_is_fetched(html, page)
    assert ("html", {"lang": "en"}) in page.tags
    assert page.text.count(NOTICE) == 2
    for tag, attributes in page.tags:
        assert tag != "script"
        assert not [name for name in attributes if name.startswith("on")], tag
        if tag == "img" or attributes.get("role") == "img":
            assert attributes.get("alt") or attributes.get("aria-label"), tag
        if tag == "th":
            assert attributes.get("scope") in {"row", "col"}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {attributes["aria-labelledby"] for tag, attributes in page.tags if tag == "section"}
    linked = {(attributes["href"] or "")[1:] for tag, attributes in page.tags if tag == "a"}
    assert named | linked <= set(ids)
    return page


def _check_that_nothing_is_fetched(html: str, page: Page) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:image/", "#")), (tag, address)
    assert not re.search(r"@import|url\((?!#)", html)
    assert "default-src 'none'" in html
