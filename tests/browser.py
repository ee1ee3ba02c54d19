"""Headless Chromium for tests of pages.

These tests skip without Debian's chromium and chromium-driver, or without selenium.
"""

import os
import shutil
from pathlib import Path
from typing import List, Optional

import pytest

SIZE = (1200, 860)  # dots
BROWSERS = ("chromium", "google-chrome")


def browser_path() -> Optional[str]:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def missing_for_browser() -> str:
    """Returns the reason why no browser can be started, or an empty string."""
    if browser_path() is None or shutil.which("chromedriver") is None:
        return "chromium or chromedriver cannot be found: apt-get install chromium chromium-driver"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium cannot be imported: pip install selenium"
    return ""


@pytest.fixture
def browser():
    """Fixture: a Selenium driver. `problems(driver)` returns the errors in the consoles of its pages."""
    if reason := missing_for_browser():
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser_path()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     f"--window-size={SIZE[0]},{SIZE[1]}"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def problems(driver) -> List[str]:
    """Returns the errors and warnings that the console has shown since the last call, such as policy violations."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def save_screenshot(driver, name: str) -> None:
    """Saves a picture of the page if GNMT_SCREENSHOTS names a folder."""
    if folder := os.environ.get("GNMT_SCREENSHOTS"):
        assert driver.save_screenshot(str(Path(folder, f"{name}.png")))
