"""A person makes an access token, and a script uses it."""

import httpx


def test_a_token_is_made_copied_used_and_revoked(visit, portal):
    """G3."""
    page = visit().sign_in()
    page.locator("[popovertarget=account-menu]").click()
    page.locator("#account-menu a[href='/settings/']").click()
    page.get_by_role("link", name="API tokens").click()
    page.fill("#token-name", "notebook")
    page.get_by_role("button", name="Make token").click()
    page.locator(".callout [data-copy]").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    first = tags(portal, copied)
    page.locator("figure [data-copy]").first.click()
    lines = page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Revoke notebook").click()
    page.get_by_role("button", name="Revoke token").click()
    page.get_by_text("No tokens yet").wait_for()

    assert first.status_code == 200
    assert "practice:latest" in [model["name"] for model in first.json()["models"]]
    assert lines.startswith(f"curl {portal.url}/api/chat")
    assert copied in lines
    assert tags(portal, copied).status_code == 401


def tags(portal, token: str) -> httpx.Response:
    return httpx.get(f"{portal.url}/api/tags", headers={"Authorization": f"Bearer {token}"})
