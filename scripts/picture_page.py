"""Pictures of the page of `gnmt serve` for the documentation: docs/images/page.png, page-dark.png, page-narrow.png.

    python scripts/picture_page.py MODEL-EN-DE [MODEL-EN-FR] --output docs/images

Needs Debian's chromium and chromium-driver, and selenium.
"""

import argparse
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READY = "ready: "
TEXT = "Two young children are playing in the snow. A man in a blue shirt is standing on a ladder."
SIZES = {"page": (1200, 1150, "light"), "page-dark": (1200, 1150, "dark"), "page-narrow": (420, 1250, "light")}
SECONDS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="model folders")
    parser.add_argument("--text", default=TEXT, help="text to translate")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images", help="folder of the pictures")
    options = parser.parse_args()
    command = [sys.executable, "-m", "gnmt", "serve", *options.models, "--port", "0"]
    server = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, encoding="utf-8")
    try:
        line = server.stderr.readline()
        if not line.startswith(READY):
            sys.exit(f"error: the server has not started: {line}")
        take_pictures(line.removeprefix(READY).strip(), options.text, options.output)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def take_pictures(url: str, text: str, output: Path) -> None:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    settings = webdriver.ChromeOptions()
    settings.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        settings.add_argument(argument)
    driver = webdriver.Chrome(settings, Service(shutil.which("chromedriver")))
    try:
        for name, (width, height, scheme) in SIZES.items():
            driver.execute_cdp_cmd(
                "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            )
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            driver.get(url)
            wait = WebDriverWait(driver, SECONDS)
            wait.until(lambda _: driver.find_elements("css selector", "#target option"))
            driver.find_element("id", "text").send_keys(text)
            wait.until(lambda _: driver.find_elements("css selector", "#heatmap table"))
            driver.find_element("css selector", "summary").click()
            words = driver.find_elements("css selector", "#target-words > *")
            ActionChains(driver).move_to_element(words[len(words) // 2]).perform()
            driver.execute_script("window.scrollTo(0, 0)")
            driver.save_screenshot(str(output / f"{name}.png"))
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
