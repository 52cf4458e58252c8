"""Draw docs/page.png and docs/page-dark.png: the page with an answer and its sources.

Run: python scripts/screenshot_page.py

Needs playwright, Pillow and a Chromium, which CHROMIUM names. The page is served for this alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SIZE = {"width": 1280, "height": 800}
QUESTIONS = ("Does ELECTRA need less compute than RoBERTa?",)
COLOURS = 128


def main() -> None:
    """Draw both pictures."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, str(ROOT / "app.py"), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            found = re.search(r"http://[\w.:]+", server.stderr.readline() if server.stderr else "")
            if not found:
                sys.exit("the page did not start")
            with sync_playwright() as driver:
                browser = driver.chromium.launch(
                    executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
                )
                draw(browser, found[0], "light", ROOT / "docs" / "page.png")
                draw(browser, found[0], "dark", ROOT / "docs" / "page-dark.png")
                browser.close()
        finally:
            server.terminate()


def draw(browser: Any, address: str, scheme: str, path: Path) -> None:
    """Draw one picture: an answer and its best sentence in the source."""
    from PIL import Image

    page = browser.new_context(viewport=SIZE, color_scheme=scheme).new_page()
    page.goto(address)
    page.wait_for_selector(".state.ready", timeout=120_000)
    for number, question in enumerate(QUESTIONS, start=1):
        page.fill("#question textarea", question)
        page.press("#question textarea", "Enter")
        page.wait_for_selector(f"#past #turn-{number} .facts", timeout=120_000)
    page.click(f"#turn-{len(QUESTIONS)} a.marker >> nth=0")
    page.wait_for_timeout(500)
    page.evaluate(f"document.querySelector('#turn-{len(QUESTIONS)}').scrollIntoView()")
    page.wait_for_timeout(200)
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
