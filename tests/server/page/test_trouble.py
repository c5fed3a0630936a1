"""API keys, busy servers and lost connections: the page explains them, and tries again."""

import json

import pytest

JOBS = "**/v1/jobs?*"


def refuse(status: int, code: str, message: str = "as the server says", **headers: str):
    body = json.dumps({"error": {"code": code, "message": message, "request_id": "1"}})
    return lambda route: route.fulfill(
        status=status, headers=headers, body=body, content_type="application/json"
    )


def send(page, files, *names: str) -> None:
    page.set_input_files("#files", [str(files / name) for name in names or ("sure.png",)])


def test_a_key_is_asked_for_until_it_is_right_and_kept_in_the_tab_alone(opened, locked, files):
    address, key = locked
    page = opened(address)
    page.watched.expected = "401"
    page.wait_for_selector("#key[open]")
    page.fill("#key-value", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#key-reason:has-text('does not know this key')")
    page.fill("#key-value", key)
    page.click("#key button.strong")
    page.wait_for_selector("body[data-ready]")
    assert page.is_hidden("#model-choice")
    send(page, files)
    page.wait_for_selector("#results:not([hidden])")
    page.wait_for_selector("#canvases canvas:not([aria-busy])[aria-label]")
    assert page.evaluate("Object.values(sessionStorage)") == [key]
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    page.click("#forget-key")
    page.wait_for_selector("#key[open]")
    page.click("#key-cancel")
    page.wait_for_selector("#failure:has-text('needs an API key')")


def test_a_busy_server_is_waited_for(page, files):
    page.watched.expected = "503"
    page.route(JOBS, refuse(503, "full", **{"Retry-After": "1"}), times=2)
    send(page, files)
    page.wait_for_selector("#waiting:has-text('The server is busy. Trying again in 1 s.')")
    page.wait_for_selector("#results:not([hidden])")
    assert page.inner_text("#waiting") == ""


def test_a_rate_limit_is_waited_for_and_waiting_can_be_cancelled(page, files):
    page.watched.expected = "429"
    page.route(JOBS, refuse(429, "rate", **{"Retry-After": "3600"}))
    send(page, files)
    page.wait_for_selector("#waiting:has-text('faster than the server allows. Trying again in 60 s.')")
    page.click("#cancel")
    page.wait_for_selector("#progress", state="hidden")
    assert page.inner_text("#waiting") == ""
    assert page.inner_text("#failure") == ""


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (413, "too_large", "The files are more than the server allows."),
        (422, "unreadable", "No file could be read."),
        (403, "forbidden", "This API key does not allow that."),
        (500, "internal", "That did not work."),
    ],
)
def test_a_refusal_is_said_in_the_servers_words_and_can_be_tried_again(page, files, status, code, said):
    page.watched.expected = str(status)
    page.route(JOBS, refuse(status, code, "the <b>remedy</b>"), times=1)
    send(page, files)
    page.wait_for_selector(f"#failure:has-text('{said} The <b>remedy</b>')")
    page.click("#failure button")
    page.wait_for_selector("#results:not([hidden])")
    assert page.inner_text("#failure") == ""


def test_files_none_of_which_can_be_read_are_said_to_be_so(page, files):
    send(page, files, "notes.txt")
    page.wait_for_selector("#failure:has-text('No file could be read.')")
    assert page.is_hidden("#results")


def test_a_connection_that_breaks_while_a_job_runs_is_waited_for(page, files):
    page.watched.expected = "ERR_INTERNET_DISCONNECTED"
    page.route("**/v1/jobs/*", lambda route: route.abort("internetdisconnected"), times=2)
    send(page, files)
    page.wait_for_selector("#waiting:has-text('cannot be reached. Trying again in')")
    page.wait_for_selector("#results:not([hidden])")


def test_a_connection_that_breaks_while_files_are_sent_is_said(page, files):
    page.watched.expected = "ERR_CONNECTION_RESET"
    page.route(JOBS, lambda route: route.abort("connectionreset"), times=1)
    send(page, files)
    page.wait_for_selector("#failure:has-text('The connection broke while the files were sent')")
    page.click("#failure button")
    page.wait_for_selector("#results:not([hidden])")


def test_a_picture_that_the_server_has_forgotten_is_said_to_be_so(page, files):
    page.watched.expected = "404"
    page.route("**/slices/*/image", refuse(404, "no_job"))
    send(page, files)
    page.wait_for_selector(".canvas-message:has-text('has deleted this picture')")
    assert page.is_visible("#findings .answer")


def test_reading_can_be_cancelled_and_the_server_then_forgets_it(page, server, files):
    page.route("**/v1/jobs/*", lambda route: route.continue_() if route.request.method == "DELETE" else None)
    with page.expect_response(lambda response: "/v1/jobs?" in response.url) as sent:
        send(page, files)
    page.wait_for_selector("#progress:not([hidden])")
    job = sent.value.json()["id"]
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        page.click("#cancel")
    page.unroute_all(behavior="ignoreErrors")
    assert page.request.get(f"{server}v1/jobs/{job}").status == 404
    assert page.is_hidden("#results")
