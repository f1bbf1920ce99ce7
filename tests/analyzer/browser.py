"""A headless Chromium for tests of the HTML report, and pictures of what it shows."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from selenium import webdriver

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDS = "needs the programs chromium and chromedriver (Debian: chromium, chromium-driver)"
TIMEOUT_S = 30.0

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Page:
    """A report, opened from the disk."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path) -> "Page":
        """Load a report and wait until its plots are drawn."""
        self.driver.get(path.as_uri())
        deadline = time.monotonic() + TIMEOUT_S
        while not self.run("return document.documentElement.dataset.ready"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the report is not ready: {self.messages()}")
            time.sleep(0.05)
        return self

    def run(self, script: str, *arguments: Any) -> Any:
        """What a piece of JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def wait_for(self, script: str) -> Any:
        """What a piece of JavaScript returns, as soon as that is truthy."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (result := self.run(script)):
            if time.monotonic() > deadline:
                raise TimeoutError(script)
            time.sleep(0.05)
        return result

    def resize(self, width: int, height: int, is_dark: bool = False) -> None:
        """Set the size of the window and the preferred colours."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def point_at(self, x: float, y: float) -> None:
        """Move the mouse to a point of the window."""
        for step in (3, 0):
            event = {"type": "mouseMoved", "x": x - step, "y": y}
            self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def messages(self) -> list[str]:
        """Warnings and errors on the console since the last call."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def picture(self, path: Path) -> None:
        """Save what the window shows."""
        self.driver.save_screenshot(str(path))


@contextmanager
def chromium() -> Iterator[Page]:
    """A browser with a profile of its own, without any network."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM or ""
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(executable_path=DRIVER)
        driver = webdriver.Chrome(options=options, service=service)
        try:
            driver.execute_cdp_cmd("Network.enable", {})
            offline = {
                "offline": True,
                "latency": 0,
                "downloadThroughput": 0,
                "uploadThroughput": 0,
            }
            driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
            yield Page(driver)
        finally:
            driver.quit()
