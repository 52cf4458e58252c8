"""Draws docs/report.png: the first plot of an evaluation's page, in a real browser.

    python scripts/screenshot_report.py RUN/report.html [--browser /usr/bin/chromium]

Needs playwright and a Chromium; exit status 1 if the page asks the network for anything or its
scripts fail.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

OUT = Path(__file__).parents[1] / "docs" / "report.png"


def main() -> None:
    """Opens the page and takes the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    asked: list[str] = []
    with sync_playwright() as tool:
        browser = tool.chromium.launch(
            executable_path=arguments.browser, args=["--no-sandbox"], headless=True
        )
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: asked.append(f"error: {error}"))
        page.goto(arguments.page.resolve().as_uri())
        page.locator("figure").first.screenshot(path=OUT)
        browser.close()
    foreign = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    if foreign:
        sys.exit(f"the page asked for {foreign}")
    print(f"{OUT.name}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
