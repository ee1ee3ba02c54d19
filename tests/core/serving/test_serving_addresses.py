"""Tests addresses in the options of the server. Expected origins are those that browsers send, written by hand."""

import pytest

from gnmt.commands import serve
from gnmt.commands.command_line import run_module
from gnmt.errors import UserError
from gnmt.serving.addresses import check_proxy, origin_of


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.0/8", "127.0.0.1, fd00::/8"])
def test_addresses_and_networks_are_proxies(address):
    check_proxy(address)


@pytest.mark.parametrize("address", ["foo", "localhost", "", "*", "10.0.0.1/8", "127.0.0.1:80", "127.0.0.1,localhost"])
def test_other_values_are_not_proxies(address):
    with pytest.raises(UserError, match="--proxy is '.*', but must be an IP address or network, such as 127.0.0.1"):
        check_proxy(address)


@pytest.mark.parametrize(
    "url, origin",
    [
        ("*", "*"),
        ("https://example.org", "https://example.org"),
        ("https://example.org/", "https://example.org"),
        ("HTTPS://Example.org:443", "https://example.org"),
        ("http://example.org:443/", "http://example.org:443"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("moz-extension://a-b", "moz-extension://a-b"),
    ],
)
def test_origins_are_written_as_browsers_send_them(url, origin):
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url", ["foo", "", "null", "example.org", "https://", "https://a.org/x", "https://a.org//", "https://*.a.org"]
)
def test_other_values_are_not_origins(url):
    with pytest.raises(UserError, match="--allow-origin is '.*', but must be .* such as https://example.org"):
        origin_of(url)


@pytest.mark.parametrize("option", ["--proxy", "--allow-origin"])
def test_the_command_checks_its_addresses_first(tmp_path, option):
    with pytest.raises(UserError, match=f"{option} is 'foo'"):
        run_module(serve, "gnmt serve", [str(tmp_path / "no model"), option, "foo"])
